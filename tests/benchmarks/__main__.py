"""Run every benchmark beside this file, or those named, and print one table each.

Run as ``python -m tests.benchmarks [topic ...]`` from the top of the repository.
"""

import importlib
import sys
from pathlib import Path

from tests.benchmarks.harness import Row

HEADINGS = ("measured", "ours", "peer", "unit", "ratio", "asked", "peer is", "note")


def main(topics: list[str]) -> None:
    """Print the table of each topic."""
    found = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    for topic in topics or found:
        rows = importlib.import_module(f"tests.benchmarks.bench_{topic}").run()
        print(f"\n### {topic}\n\n{table(rows)}", flush=True)


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    cells = [HEADINGS, ("---",) * len(HEADINGS)]
    for row in rows:
        figures = (f"{row.ours:.4g}", f"{row.peer:.4g}", row.unit, f"{row.ratio:.3g}")
        cells.append((row.name, *figures, row.asked, row.peer_name, row.note))
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


if __name__ == "__main__":
    main(sys.argv[1:])
