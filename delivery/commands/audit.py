"""``faintlink audit``: verify and read the audit log of a site."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faintlink.delivery.audit.verify import Verification

_FOLDER = click.argument("folder", metavar="AUDIT", type=click.Path(path_type=Path))
_ANCHORS = click.option("--anchors", type=click.Path(path_type=Path), help="Your own copy of the anchors.")
_KEY = click.option("--key", type=click.Path(path_type=Path), help="Your own copy of the public audit key.")


@click.group("audit")
def audit() -> None:
    """Verify and read the audit log of a site. AUDIT is the folder with log, anchors and key."""


@audit.command("verify")
@_FOLDER
@_ANCHORS
@_KEY
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(folder: Path, anchors: Path | None, key: Path | None, as_json: bool) -> int:
    """Follow the whole chain and compare it with head and anchors.

    Exit code 7 says that the log is broken; the first broken record is named.
    """
    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.audit.signing import AuditPublicKey
    from faintlink.delivery.audit.site import verify_site_log

    require_of_user(Action.READ_AUDIT)
    found = verify_site_log(folder, anchors=anchors, key=AuditPublicKey.open(key) if key else None)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps({**asdict(found), "is_sound": found.is_sound}))
    else:
        _say(found, is_own=anchors is not None and key is not None)
    return 0 if found.is_sound else 7


@audit.command("show")
@_FOLDER
@_ANCHORS
@_KEY
@click.option("--event", help="Only facts of this kind.")
@click.option("--key-id", "key_id", help="Only facts about this key.")
@click.option("--last", type=click.IntRange(1), help="Only so many facts from the end.")
def show(
    folder: Path, anchors: Path | None, key: Path | None, event: str | None, key_id: str | None, last: int | None
) -> int:
    """Print facts, one JSON object a line. A broken log is printed up to where it breaks, with exit code 7."""
    import json
    from collections import deque

    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.audit.signing import AuditPublicKey
    from faintlink.delivery.audit.site import LOG_FOLDER, verify_site_log
    from faintlink.delivery.audit.verify import acknowledged

    require_of_user(Action.READ_AUDIT)
    found = verify_site_log(folder, anchors=anchors, key=AuditPublicKey.open(key) if key else None)
    records = (
        one
        for one in acknowledged(folder / LOG_FOLDER, until=found.records)
        if event in (None, one.event) and (key_id is None or key_id in one.about.get("key_ids", ()))
    )
    for one in deque(records, maxlen=last) if last else records:
        row = {"n": one.n, "utc": one.utc, "event": one.event, "subject": one.subject, "about": one.about}
        click.echo(json.dumps(row))
    if found.faults:
        click.echo(f"broken at {found.faults[0].place}: {found.faults[0].what}", err=True)
    return 0 if found.is_sound else 7


def _say(found: "Verification", *, is_own: bool) -> None:
    click.echo(f"{found.records:,} sound records in {found.segments} segments, {found.anchors} anchors")
    if found.unacknowledged_bytes:
        click.echo(
            f"{found.unacknowledged_bytes:,} bytes behind the last record: not acknowledged, nothing rests on them"
        )
    for fault in found.faults:
        which = "" if fault.record is None else f"record {fault.record}, "
        click.echo(f"BROKEN: {which}{fault.place}: {fault.what}")
    if not is_own:
        click.echo("compared with anchors and key of the site itself; use --anchors and --key with copies of your own")
