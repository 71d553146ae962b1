"""Diagnoses beside the light: instruments that do not answer, the disk, lost tags, old records, failed steps."""

from collections.abc import Iterator

from faintlink.acquisition.bringup.doctor.evidence import DiskSeen, Evidence
from faintlink.acquisition.bringup.doctor.finding import Finding
from faintlink.acquisition.preflight import BYTES_PER_TAG, RESERVE_BYTES
from faintlink.acquisition.run import EXPECTED_RATE_HZ
from faintlink.core.config.link import LinkConfig

LEAST_FREE_SHARE = 0.1
"""Below this share of free disk nothing new is begun."""


def does_not_answer(evidence: Evidence) -> Iterator[Finding]:
    """Name each instrument that does not answer, its address and its last words."""
    for lost in evidence.unreachable:
        where = f" at {lost.address}" if lost.address else ""
        yield Finding(
            "device-silent",
            f"{lost.instrument}{where} does not answer: {lost.error}",
            0.0,
            1.0,
            "answers",
            "about",
            "it is off, unplugged, at another address, or another program holds the connection",
            f"switch {lost.instrument} on, check cable and `address` in the station file, close other programs",
        )


def disk_is_low(evidence: Evidence) -> Iterator[Finding]:
    """Compare free space with what a run needs and with the share that is kept free."""
    disk = evidence.disk
    if disk is None:
        return
    needed = needed_bytes(evidence.link, disk)
    if disk.free_bytes < needed:
        yield Finding(
            "disk-low",
            f"the disk of {disk.folder} is nearly full",
            disk.free_bytes / 1e9,
            needed / 1e9,
            "GB",
            "at least",
            "old runs fill it; an unattended link stops before it is full",
            "move finished runs elsewhere, or choose another disk with --out",
        )


def needed_bytes(link: LinkConfig, disk: DiskSeen) -> float:
    """Return the free space that a run is begun with: what it needs, and the share that stays free."""
    run_bytes = EXPECTED_RATE_HZ * len(link.receivers) * link.acquisition.duration_s * BYTES_PER_TAG
    return max(run_bytes + 2 * RESERVE_BYTES, LEAST_FREE_SHARE * disk.total_bytes)


def tags_are_lost(evidence: Evidence) -> Iterator[Finding]:
    """Report tags that the tagger lost in the probe or in the last run."""
    remedy = "lower the rate by the attenuator, close other programs, use the tagger's own USB 3 port"
    cause = "more clicks come than the tagger's memory or its connection carries"
    probe, run = evidence.probe, evidence.last_run
    if probe is not None and probe.lost_tags is not None:
        what = "the tagger loses tags while the table is looked at"
        yield Finding("tags-lost", what, float(probe.lost_tags), 0.0, "tags", "at most", cause, remedy)
    elif run is not None and run.loss.gaps:
        what = f"the tagger lost tags in {run.loss.gaps} gaps of the last run, {run.folder}"
        yield Finding("tags-lost", what, float(run.loss.lost), 0.0, "tags", "at most", cause, remedy)


def records_are_old(evidence: Evidence) -> Iterator[Finding]:
    """Report each record that is too old, and that the link was never brought up where there is none."""
    needed = [one for one in evidence.stand if not one.step.is_advisory]
    lacking = [one.step.routine for one in needed if one.held is None]
    if lacking:
        yield Finding(
            "not-brought-up",
            f"{len(lacking)} steps of the bring-up have no record: {', '.join(lacking)}",
            float(len(needed) - len(lacking)),
            float(len(needed)),
            "records",
            "about",
            "the link was not brought up to the end, or its records lie in another folder",
            "run `faintlink up`, or name the folder with --out",
        )
    for one in needed:
        if one.age_s is not None and one.age_s > one.step.max_age_s:
            yield Finding(
                "calibration-old",
                f"the calibration {one.step.routine} is too old",
                one.age_s / 3600.0,
                one.step.max_age_s / 3600.0,
                "h",
                "at most",
                "fibre and room have changed since",
                f"run `faintlink up`; it takes {one.step.routine} anew and what rests on it",
            )


def a_step_failed(evidence: Evidence) -> Iterator[Finding]:
    """Repeat what the newest record of a failed step missed: all that is known where nothing else explains it."""
    for routine, record in evidence.newest.items():
        if record.is_passed:
            continue
        missed = [criterion for criterion in record.decision.criteria if not criterion.is_met]
        advice = record.decision.advice or "look at the record with `faintlink calibrate --replay`"
        if not missed:
            yield Finding(
                "step-broke",
                f"{routine} broke: {record.reason}",
                0.0,
                1.0,
                "results",
                "about",
                "an instrument or its stream failed on the way",
                "mend what it names, then `faintlink up`",
            )
        for criterion in missed[:1]:
            yield Finding(
                "step-missed",
                f"{routine} did not pass: {criterion.name}",
                criterion.value,
                criterion.limit,
                "",
                criterion.relation,
                advice,
                "then `faintlink up` again; it goes on at this step",
            )
