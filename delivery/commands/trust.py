"""``faintlink kme change``, ``approve`` and ``apply``: change whom a site trusts, by two of its crypto officers."""

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)
_FOLDER = click.argument("folder", metavar="SITE", type=_PATH)
_CHANGE = click.argument("document", metavar="CHANGE", type=_PATH)


@click.command("change")
@_FOLDER
@click.option("--out", required=True, type=_PATH, help="New file for the proposal.")
@click.option("--config", "config", type=_PATH, help="The site's kme.yaml as it is to be.")
@click.option("--enroll", "enrolled", multiple=True, metavar="NAME=URN", help="An application to be let in.")
@click.option(
    "--file", "files", multiple=True, metavar="PATH=FILE", help="An authority's PATH in SITE, and its new file."
)
@click.option(
    "--hours", default=72.0, show_default=True, type=click.FloatRange(0.1, 720.0), help="How long it is good."
)
def change(
    folder: Path, out: Path, config: Path | None, enrolled: tuple[str, ...], files: tuple[str, ...], hours: float
) -> int:
    """Propose to change whom SITE trusts: applications, other sites, authorities, officers.

    Nothing changes yet. Two officers approve the file, each with the own key; then it is applied.
    """
    from faintlink.core.private import write_private
    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.kme.approving import files_for, propose
    from faintlink.delivery.kme.trust_documents import encode

    require_of_user(Action.CHANGE_TRUST)
    proposal = propose(folder, files_for(folder, config=config, enrolled=enrolled, files=files), hours=hours)
    write_private(out, encode(proposal))
    _say(proposal.changes)
    click.echo(f"proposed in {out} until {proposal.expires_utc}: two officers approve it with faintlink kme approve")
    return 0


@click.command("approve")
@_CHANGE
@click.option("--key", required=True, type=_PATH, help="Your key, as PEM.")
@click.option("--certificate", required=True, type=_PATH, help="Your certificate, as PEM.")
@click.option("--out", required=True, type=_PATH, help="New file for your approval.")
def approve(document: Path, key: Path, certificate: Path, out: Path) -> int:
    """Show what CHANGE changes, and sign it as an officer. It needs no site: do it on a machine of your own."""
    from faintlink.core.private import write_private
    from faintlink.delivery.kme.trust_documents import Change, approve, encode, read

    proposal = document.read_bytes()
    said = read(proposal, Change)
    click.echo(f"for {said.site}, to be applied until {said.expires_utc}:")
    _say(said.changes)
    write_private(out, encode(approve(proposal, key=key.read_bytes(), certificate=certificate.read_bytes())))
    click.echo(f"approved in {out}")
    return 0


@click.command("apply")
@_FOLDER
@_CHANGE
@click.option("--approval", "approvals", multiple=True, required=True, type=_PATH, help="Of an officer; two of them.")
def apply(folder: Path, document: Path, approvals: tuple[Path, ...]) -> int:
    """Put a CHANGE into force that two of SITE's crypto officers approved.

    A site that runs checks and notes it itself. It takes applications over at SIGHUP, and all else when it starts anew.
    """
    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.kme.approving import apply_at

    require_of_user(Action.CHANGE_TRUST)
    done = apply_at(folder, document.read_bytes(), [path.read_bytes() for path in approvals])
    _say(done.changes)
    click.echo(f"in force, as {' and '.join(done.officers)} approved; a running site takes it over at SIGHUP or start")
    return 0


def _say(changes: "list[str] | tuple[str, ...]") -> None:
    for line in changes:
        click.echo(f"  {line}")
