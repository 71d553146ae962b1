"""``faintlink bound``: a key length from counts alone, with every term that led to it.

For auditors and for planning: anybody who has the counts of a block can recompute its length. It makes no key and
reads no run file.
"""

from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.postprocess.security.bound import Bound
    from faintlink.postprocess.security.inputs import BoundInput
    from faintlink.postprocess.security.ledger import EpsilonLedger
    from faintlink.postprocess.security.result import BoundResult


EXAMPLE = """\b
COUNTS holds detections n and errors m by intensity, brightest first:
  {"n_key":  [8875913, 1124087],
   "n_test": [165048, 20902],
   "m_key":  [185856, 26055],
   "m_test": [3456, 484],
   "intensities": [0.51, 0.15],
   "probabilities": [0.7, 0.3],
   "leak_ec": 1776924,
   "eps_sec": 1e-9,
   "eps_cor": 1e-15,
   "options": {"cap_v1": false}}
m_key, intensities and probabilities may be left out where the bound has
no use for them, and options always.
"""


_KINDS = {
    "fixed": "proven for a length agreed before the block; from observed counts it is a calculation, not a proof",
    "variable": "proven for a length taken from the block's counts",
    "planning": "NOT SECURE FOR FINITE BLOCKS, for planning only",
}


@click.command(epilog=EXAMPLE)
@click.argument("name", required=False)
@click.argument("counts", type=click.File("rb"), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--list", "as_list", is_flag=True, help="List the bounds and their papers.")
def bound(name: str | None, counts: BinaryIO | None, as_json: bool, as_list: bool) -> None:
    """Compute the key length that bound NAME grants for the counts in COUNTS.

    COUNTS is a JSON file, or - for standard input. A length of 0 is an answer, not a failure; the reason is
    printed.
    """
    from faintlink.postprocess.security import registry

    if as_list:
        _print_list([registry.get(known) for known in registry.names()], as_json=as_json)
        return
    if name is None or counts is None:
        raise click.UsageError("give the NAME of a bound and a COUNTS file, or --list")
    chosen = registry.get(name)
    given = _read(counts)
    result = chosen.evaluate(given)
    _print_result(chosen, result, given, as_json=as_json)


def _read(counts: BinaryIO) -> "BoundInput":
    from faintlink.core.errors import ConfigError
    from faintlink.postprocess.security.inputs import from_json

    path = str(getattr(counts, "name", "-"))
    try:
        text = counts.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason}", hint="save the counts as UTF-8 JSON") from error
    return from_json(text, path)


def _print_list(bounds: "list[Bound]", *, as_json: bool) -> None:
    import json

    if as_json:
        click.echo(json.dumps([_listed(b) for b in bounds]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("bound", "kind", "intensities", "paper")
    for b in bounds:
        table.add_row(b.name, str(b.kind), str(b.intensities or "any"), b.paper)
    Console().print(table)


def _listed(chosen: "Bound") -> dict[str, object]:
    kind, intensities = str(chosen.kind), chosen.intensities
    return {"name": chosen.name, "kind": kind, "intensities": intensities, "paper": chosen.paper}


def _print_result(chosen: "Bound", result: "BoundResult", given: "BoundInput", *, as_json: bool) -> None:
    from faintlink.postprocess.security.ledger import EpsilonLedger

    ledger = EpsilonLedger(chosen.epsilon_parts(given))
    if as_json:
        import json

        click.echo(json.dumps(_as_object(chosen, result, ledger)))
        return
    from rich.console import Console

    _print_tables(Console(highlight=False), chosen, result, ledger)


def _as_object(chosen: "Bound", result: "BoundResult", ledger: "EpsilonLedger") -> dict[str, object]:
    parts = [
        {"name": name, "kind": kind, "value": value, "source": source} for name, kind, value, source in ledger.as_rows()
    ]
    fields = result.to_dict()
    totals = {"total": ledger.total, "secrecy": ledger.secrecy, "correctness": ledger.correctness}
    return {"name": fields.pop("bound"), "kind": str(chosen.kind), **fields, "epsilon": {"parts": parts, **totals}}


def _print_tables(console: "Console", chosen: "Bound", result: "BoundResult", ledger: "EpsilonLedger") -> None:
    from rich.table import Table

    terms = Table("term", "value", title=f"{result.bound}: terms in the order of evaluation")
    for name, value in result.terms.items():
        terms.add_row(name, f"{value:.10g}")
    console.print(terms)
    epsilons = Table("epsilon", "kind", "value", "source", title="failure probabilities")
    for name, kind, value, source in ledger.as_rows():
        epsilons.add_row(name, kind, f"{value:.4g}", source)
    epsilons.add_section()
    epsilons.add_row("total", "", f"{ledger.total:.10g}", "")
    console.print(epsilons)
    console.print(f"length   {result.length} bits", soft_wrap=True)
    if result.refusal:
        console.print(f"no key   {result.refusal}", soft_wrap=True)
    console.print(f"kind     {chosen.kind}: {_KINDS[chosen.kind]}", soft_wrap=True)
    console.print(f"paper    {result.paper}", soft_wrap=True)
    console.print(f"basis    {chosen.key_basis}", soft_wrap=True)
    for line in result.assumptions:
        console.print(f"assumes  {line}", soft_wrap=True)
