"""``faintlink evidence``: collect what an evaluator asks for."""

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command("evidence")
@click.option("--out", required=True, type=_PATH, help="New folder for the pack.")
@click.option("--site", type=_PATH, help="Folder of the site, with kme.yaml, audit and store in it.")
@click.option("--audit", type=_PATH, help="Folder of the audit, if it is not SITE/audit.")
@click.option("--anchors", type=_PATH, help="Your own copy of the anchors.")
@click.option("--key", type=_PATH, help="Your own copy of the public audit key.")
@click.option("--store", type=_PATH, help="Database of the key store, if it is not SITE/store/keys.db.")
@click.option("--manifest", type=_PATH, help="Manifest of the installed files, from faintlink selftest.")
def evidence(
    out: Path,
    site: Path | None,
    audit: Path | None,
    anchors: Path | None,
    key: Path | None,
    store: Path | None,
    manifest: Path | None,
) -> int:
    """Collect versions, parts, self-tests, permissions, audit, key usage and epsilons into OUT.

    The pack is evaluation-ready, not certified. A running site is not disturbed, and no key is read.
    Exit code 7 says that a section found a fault; the pack is written all the same.
    """
    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.evidence.collect import Sources, collect
    from faintlink.delivery.evidence.page import write_pack

    require_of_user(Action.EXPORT_EVIDENCE)
    if site is not None:
        audit = audit or _if_there(site / "audit")
        store = store or _if_there(site / "store" / "keys.db")
    pack = collect(Sources(site, audit, anchors, key, store, manifest))
    write_pack(pack, out)
    for name, section in pack.sections.items():
        said = section.get("failed") or section.get("absent") or ""
        word = {True: "good", False: "FAULT", None: "-"}[section["is_good"]]
        click.echo(f"{name:<14} {word:<6} {said}".rstrip())
    click.echo(f"wrote {out}/index.html: evaluation-ready, not certified")
    return 0 if pack.is_good else 7


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None
