"""The table of a campaign: one row a run, in the order of time, as CSV and JSON.

Sources: Clopper-Pearson intervals of `faintlink.postprocess.qkd.estimate`.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from faintlink.core.records import ErrorCount
from faintlink.postprocess.campaign.work import Outcome
from faintlink.postprocess.qkd.estimate import error_rate

TABLE_FORMAT = "faintlink-campaign/1"


@dataclass(frozen=True, slots=True)
class Row:
    """One run of a campaign; of a failed run everything but its name, ``error`` and ``message`` is None."""

    name: str
    """Folder of the run, or folder and run id of loose files."""
    run_id: str | None = None
    """Of the run."""
    created_utc: str | None = None
    """When its recording began, ISO 8601."""
    link: str | None = None
    """Name of the link."""
    origin: str | None = None
    """Where the data came from."""
    duration_s: float | None = None
    """Length of the analysed stretch."""
    qber_key: float | None = None
    """Error rate of the key basis over the whole run."""
    qber_key_low: float | None = None
    """Lower end of its 95 % interval."""
    qber_key_high: float | None = None
    """Upper end of it."""
    qber_test: float | None = None
    """Error rate of the test basis over the whole run."""
    qber_test_low: float | None = None
    """Lower end of its 95 % interval."""
    qber_test_high: float | None = None
    """Upper end of it."""
    sifted_bits: int | None = None
    """Of both bases."""
    key_bits: int | None = None
    """Length of all keys that were made and thrown away."""
    key_rate_hz: float | None = None
    """Secret bits per second of the run."""
    blocks: int | None = None
    """Whole blocks."""
    blocks_refused: int | None = None
    """Blocks without key."""
    refusals: str = ""
    """Kinds of the refusals."""
    config_sha256: str | None = None
    """Of the configuration that was used."""
    content_sha256: str | None = None
    """Of the run's files."""
    error: str = ""
    """Kind of what stopped the analysis; empty if nothing did."""
    message: str = ""
    """What it said."""

    @property
    def time(self) -> datetime | None:
        """When the recording began."""
        try:
            time = datetime.fromisoformat(self.created_utc or "")
        except ValueError:
            return None
        return time if time.tzinfo else time.replace(tzinfo=UTC)


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return the rows of a campaign by time, then name; failed runs last."""
    made = [_row(outcome) for outcome in outcomes]
    latest = datetime.max.replace(tzinfo=UTC)
    return sorted(made, key=lambda row: (bool(row.error), row.time or latest, row.name))


def table_csv(table: Sequence[Row]) -> str:
    """Return rows as CSV with a line of names; missing values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows([[_harmless(value) for value in asdict(row).values()] for row in table])
    return out.getvalue()


def table_json(table: Sequence[Row], about: dict[str, Any]) -> str:
    """Return rows as JSON with what was done in this campaign."""
    return json.dumps({"format": TABLE_FORMAT, **about, "runs": [asdict(row) for row in table]}, indent=1)


def _harmless(value: Any) -> Any:
    # A spreadsheet takes a text that begins so for a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _row(outcome: Outcome) -> Row:
    body = outcome.body
    if outcome.has_failed:
        return Row(outcome.name, error=body["error"], message=" ".join(body["message"].split()))
    analysis = body["analysis"]
    summary = analysis["summary"]
    key, test = (_count(analysis["series"]["points"], basis) for basis in ("key", "test"))
    kinds = {block["refusal"]["kind"] for block in analysis["blocks"] if block["refusal"]}
    return Row(
        outcome.name,
        run_id=analysis["run_id"],
        created_utc=body["created_utc"],
        link=summary["link"],
        origin=body["origin"],
        duration_s=summary["duration_s"],
        **_rates("qber_key", key),
        **_rates("qber_test", test),
        sifted_bits=key.bits + test.bits,
        key_bits=summary["key_bits"],
        key_rate_hz=summary["key_rate_hz"],
        blocks=summary["blocks"],
        blocks_refused=summary["blocks_refused"],
        refusals=" ".join(sorted(kinds)),
        config_sha256=analysis["config_sha256"],
        content_sha256=body["content_sha256"],
    )


def _count(points: dict[str, list[int]], basis: str) -> ErrorCount:
    return ErrorCount(sum(points[f"{basis}_bits"]), sum(points[f"{basis}_errors"]))


def _rates(name: str, count: ErrorCount) -> dict[str, Any]:
    if not count.bits:
        return {}
    found = error_rate(count)
    return {name: found.rate, f"{name}_low": found.low, f"{name}_high": found.high}
