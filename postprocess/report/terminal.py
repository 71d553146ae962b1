"""An analysis on the terminal: what became of each block, and the ledger of the keys."""

from rich.console import Console
from rich.table import Table

from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis

_MOST_ROWS = 20


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Print blocks, refusals and the epsilon ledger of an analysis."""
    table = Table(title=f"run {analysis.run_id} · link {analysis.link.name} · bound {analysis.link.security.bound}")
    for column in ("block", "sifted key bits", "QBER key", "QBER test", "leak", "f", "secret bits"):
        table.add_column(column, justify="right")
    for block in analysis.blocks[:_MOST_ROWS]:
        table.add_row(*_row(block))
    console.print(table)
    label = next((block.bound.label for block in analysis.blocks if block.bound is not None), "")
    if label:
        console.print(label, markup=False, soft_wrap=True)
    if len(analysis.blocks) > _MOST_ROWS:
        console.print(f"… and {len(analysis.blocks) - _MOST_ROWS} more blocks")
    for block in analysis.blocks[:_MOST_ROWS]:
        if block.refusal is not None:
            kind, hint = type(block.refusal).__name__, block.refusal.hint
            console.print(f"block {block.number}: no key, {kind}: {block.refusal.message}", markup=False)
            console.print(f"  hint: {hint}", markup=False)
    _print_ledger(analysis, console)


def _row(block: BlockResult) -> tuple[str, ...]:
    facts = {name: value for stage in block.stages for name, value in stage.facts.items()}
    efficiency = facts.get("f_ec")
    return (
        str(block.number),
        f"{block.counts.key.bits:,}",
        f"{block.qber_key.rate:.2%}" if "qber_key" in facts else "-",
        f"{block.qber_test.rate:.2%}",
        f"{facts['leak_ec']:,}" if "leak_ec" in facts else "-",
        f"{efficiency:.3f}" if isinstance(efficiency, float) else "-",
        f"{block.key_bits:,}" if block.key_bits else "refused",
    )


def _print_ledger(analysis: Analysis, console: Console) -> None:
    first = next((block for block in analysis.blocks if block.key_bits), None)
    if first is None:
        console.print("no key was made")
        return
    table = Table(title=f"epsilon ledger of block {first.number}")
    for column in ("what may fail", "kind", "probability", "source"):
        table.add_column(column)
    for part in first.ledger.parts:
        table.add_row(part.name, part.kind, f"{part.value:.3g}", part.source)
    table.add_row("total", "", f"{first.ledger.total:.3g}", "", style="bold")
    console.print(table)
    console.print(f"[bold green]{analysis.key_bits:,} secret bits[/] in {len(analysis.blocks)} blocks")
