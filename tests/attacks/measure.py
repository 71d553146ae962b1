"""Measure how often each attack is noticed and write the table: `python -m tests.attacks.measure [--fast]`.

The table goes between the markers of docs/explanation/attacks.md. Seeds are fixed: the same code gives the same
figures. It takes about ten minutes, with --fast less than one.
"""

import sys
from collections.abc import Iterator

import numpy as np

from faintlink.postprocess.qkd.verify import VerificationCost, verification_tag
from tests.attacks.cases import CASES, HONEST, SHORT_HONEST, WORN, Case, Tally, alarms, tally
from tests.attacks.interval import clopper_pearson
from tests.data import ROOT

PAGE = ROOT / "docs" / "explanation" / "attacks.md"
START, END = "<!-- rates: start, written by tests/attacks/measure.py -->", "<!-- rates: end -->"
BLOCKS = 100
GAP_BLOCKS = 30
"""Of attacks that are not expected to be noticed."""
SHORT_BLOCKS = 7_000
"""40,000 are needed to show less than one alarm in 10,000 blocks; a slow test tries them."""
LONG_BLOCKS = 1_000
FLIPS = 100_000


def rate(hits: int, trials: int) -> str:
    """Return a share with its interval in words."""
    low, high = clopper_pearson(hits, trials)
    return f"{hits} of {trials} ({low:.2%} to {high:.2%})" if low > 0.01 else f"{hits} of {trials} (≤ {high:.1e})"


def attack_row(case: Case, found: Tally) -> str:
    """Return the row of an attack."""
    why = found.reasons[0].replace("|", "/") if found.reasons else "—"
    keys = f"{found.keys} of {found.blocks}, mean {found.mean_bits:.0f} bits" if found.keys else f"0 of {found.blocks}"
    return f"| {case.name} | {rate(found.noticed, found.blocks)} | {keys} | {why} |"


def undetected_flips(trials: int) -> int:
    """Return in how many trials a verification misses one flipped bit, at a tag of 64 bits."""
    rng = np.random.default_rng(3)
    eps_cor = 2.0**-63
    bits = rng.integers(0, 2, 1_000, dtype=np.uint8)
    cost = VerificationCost.for_key(eps_cor, bits.size)
    missed = 0
    for _ in range(trials):
        other = bits.copy()
        other[rng.integers(bits.size)] ^= 1
        seed = rng.bytes(cost.seed_bytes)
        missed += verification_tag(bits, seed, eps_cor=eps_cor) == verification_tag(other, seed, eps_cor=eps_cor)
    return missed


def lines(share: float) -> Iterator[str]:
    """Yield the lines of the tables, measured with a share of the full statistics."""
    short, long, flips = (max(round(share * n), 10) for n in (SHORT_BLOCKS, LONG_BLOCKS, FLIPS))
    blocks, gap_blocks = (max(round(share * n), 10) for n in (BLOCKS, GAP_BLOCKS))
    yield "| Honest blocks | false alarms, with the 95 % interval |"
    yield "| --- | --- |"
    yield f"| of 0.2 s, 20,000 clicks of photons | {rate(alarms(SHORT_HONEST, short), short)} |"
    what = "of 1 s, with afterpulses of 3 %, darks drifting by 10 %, detectors unequal by 10 % and apart by 10 ps"
    yield f"| {what} | {rate(alarms(WORN, long), long)} |"
    found = tally(HONEST, blocks)
    yield ""
    yield f"Honest blocks of 1 s gave a key in {found.keys} of {blocks}, of {found.mean_bits:.0f} bits on average."
    yield ""
    yield "| Attack | refused, with the 95 % interval | blocks with a key | first reason seen |"
    yield "| --- | --- | --- | --- |"
    for case in CASES:
        yield attack_row(case, tally(case, blocks if case.least else gap_blocks))
    yield ""
    yield f"One flipped bit passed verification with a 64 bit tag in {rate(undetected_flips(flips), flips)} trials."


def write(text: str) -> None:
    """Put the tables between the markers of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write("\n".join(lines(0.05 if "--fast" in sys.argv[1:] else 1.0)))
