"""The audit log of a site, as tests read and break it."""

from pathlib import Path

from faintlink.delivery.audit.records import Record
from faintlink.delivery.audit.site import LOG_FOLDER, verify_site_log
from faintlink.delivery.audit.verify import acknowledged


def facts(folder: Path, event: str) -> list[Record]:
    """Return what a site's log says of a kind, the log verified first."""
    found = verify_site_log(folder / "audit")
    assert found.is_sound, found.faults
    records = acknowledged(folder / "audit" / LOG_FOLDER, until=found.records)
    return [record for record in records if record.event == event]


def break_log(folder: Path) -> None:
    """Cut the end of a log off: it opens no more, and nothing can be noted."""
    path = next((folder / "audit" / LOG_FOLDER).glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes()[:-40])
