"""The sections of the HTML report, in the order in which an operator reads them.

Each takes an analysis and returns markup. Keys appear by length and id; their bits are never looked at.
"""

import json
from typing import TYPE_CHECKING

from faintlink.postprocess.report.markup import Child, Markup, bullets, join, pairs, table, tag
from faintlink.postprocess.report.summary import (
    MISSING,
    OUTCOMES,
    figure,
    per_second,
    percent,
    plural,
    reason,
    shown_block,
    summarise,
    total_seconds,
    whole,
    why_unusable,
)

if TYPE_CHECKING:
    from faintlink.postprocess.node.distil import BlockResult
    from faintlink.postprocess.pipeline import Analysis
    from faintlink.postprocess.qkd.estimate import RateEstimate
    from faintlink.postprocess.qkd.monitors import MonitorReading

MOST_ROWS = 50


def headline(analysis: "Analysis") -> Markup:
    """Return what was made and from what, with a banner when it must not be used."""
    summary = summarise(analysis)
    banner = Markup("")
    if summary.has_unusable_keys:
        banner = tag("p", why_unusable(analysis), class_="banner", role="alert")
    facts: list[tuple[str, Child]] = [
        ("key", f"{whole(summary.key_bits)} bits"),
        ("key rate", per_second(summary.key_rate_hz, "bit")),
        ("blocks with key", f"{whole(summary.with_key)} of {whole(summary.blocks)}"),
        ("refused", plural(summary.refused, "block")),
        ("security parameter of all keys", f"{summary.epsilon:.3g}" if summary.with_key else MISSING),
        ("run", analysis.run_id),
        ("duration", f"{summary.duration_s:.4g} s"),
        ("left over", f"{whole(analysis.left_over)} sifted bits of an incomplete block"),
        ("software", f"faintlink {analysis.software_version}"),
        ("configuration sha256", tag("code", analysis.config_sha256)),
    ]
    tone = "good" if summary.is_usable else "plain"
    result = tag("p", summary.sentence, class_=f"result {tone}")
    return join((tag("h1", analysis.link.name), banner, result, pairs(facts)))


def refusals(analysis: "Analysis") -> Markup:
    """Return why blocks made no key and what to do about it."""
    rows: list[list[Child]] = []
    for block in analysis.blocks:
        if block.refusal is not None:
            why = reason(block.refusal)
            rows.append([str(block.number), tag("strong", why), block.refusal.message, block.refusal.hint])
    if not rows:
        return Markup("")
    return join((tag("h2", "Refused blocks"), table(("block #", "why", "seen", "what to do"), rows, most=MOST_ROWS)))


def blocks(analysis: "Analysis") -> Markup:
    """Return one row a block."""
    rows = [
        (
            str(block.number),
            whole(block.key_bits),
            _estimate(block.qber_key),
            _estimate(block.qber_test),
            whole(block.counts.key.bits),
            whole(block.counts.test.bits),
            _state(block),
            tag("code", next((key.key_id for key in block.keys.values()), MISSING)),
        )
        for block in analysis.blocks
    ]
    head = ("block #", "key bits #", "QBER Z #", "QBER X #", "sifted Z #", "sifted X #", "state", "key id")
    marked = frozenset(at for at, block in enumerate(analysis.blocks) if block.refusal is not None)
    return join((tag("h2", "Blocks"), table(head, rows, most=MOST_ROWS, marked=marked)))


def _state(block: "BlockResult") -> str:
    if block.refusal is not None:
        return "refused"
    return "key" if block.is_usable else "key, not usable"


def _estimate(estimate: "RateEstimate") -> str:
    low, high = percent(estimate.low), percent(estimate.high)
    return f"{percent(estimate.rate)} ({low} to {high})" if estimate.rate == estimate.rate else MISSING


def security(analysis: "Analysis") -> Markup:
    """Return the statement of one block: bound, terms, epsilons, and what is taken on trust."""
    block = shown_block(analysis.blocks)
    title = tag("h2", "Security statement")
    if block is None or block.bound is None:
        return join((title, tag("p", "No block came as far as its key length."), _trusted(analysis)))
    bound = block.bound
    about: list[tuple[str, Child]] = [
        ("block", str(block.number)),
        ("bound", bound.bound),
        ("length", f"{whole(bound.length)} bits"),
        ("proof", bound.label or "a calculation; nobody decided on this length"),
        ("paper", bound.paper),
    ]
    if bound.refusal:
        about.append(("no key", bound.refusal))
    terms = [(name, f"{value:.10g}") for name, value in bound.terms.items()]
    return join(
        (
            title,
            pairs(about),
            _ledger(block),
            tag("h3", "Assumed by the proof"),
            bullets(bound.assumptions),
            _trusted(analysis),
            tag("h3", "Equations"),
            bullets(bound.equations),
            tag("h3", "Terms in the order of evaluation"),
            table(("term", "value #"), terms),
        )
    )


def _ledger(block: "BlockResult") -> Markup:
    ledger = block.ledger
    rows = [(name, kind, f"{value:.4g}", source) for name, kind, value, source in ledger.as_rows()]
    if rows:
        rows.append(("total", "", f"{ledger.total:.6g}", ""))
    remark = "" if ledger.authentication else "No part stands for the authentication of messages."
    return join(
        (
            tag("h3", "Failure probabilities"),
            table(("what may fail", "spoils", "probability #", "source"), rows),
            tag("p", remark, class_="faint") if rows and remark else Markup(""),
        )
    )


def _trusted(analysis: "Analysis") -> Markup:
    return join((tag("h3", "Taken from the link file, not measured in this run"), bullets(_trusted_lines(analysis))))


def _trusted_lines(analysis: "Analysis") -> list[str]:
    link = analysis.link
    lines = [
        f"dead time of {party.value}: {whole(receiver.dead_time_ps)} ps" for party, receiver in link.receivers.items()
    ]
    if link.source is not None:
        mean = ", ".join(f"{mu:g}" for mu in link.source.intensities)
        shares = ", ".join(f"{p:g}" for p in link.source.probabilities)
        lines += [
            f"mean photon numbers leaving the sender: {mean}",
            f"probabilities of the intensities: {shares}",
            f"probability of the key basis at the sender: {link.source.key_basis_probability:g}",
        ]
    if link.pairs is not None:
        lines.append(f"state of the pairs: {link.pairs.state}")
    return lines


def monitors(analysis: "Analysis") -> Markup:
    """Return all readings, objections first."""
    readings = [(block.number, one) for block in analysis.blocks for one in block.monitors]
    readings.sort(key=lambda pair: not pair[1].objects)
    objecting = sum(one.objects for _, one in readings)
    said = f"{plural(objecting, 'objection')} in {plural(len(readings), 'reading')}"
    head = ("block #", "monitor", "value #", "error #", "limit #", "verdict", "meaning")
    rows = [_reading(number, one) for number, one in readings]
    marked = frozenset(range(objecting))
    return join((tag("h2", "Monitors"), tag("p", said), table(head, rows, most=MOST_ROWS, marked=marked)))


def _reading(number: int, one: "MonitorReading") -> tuple[Child, ...]:
    verdict = tag("strong", "objects") if one.objects else "within"
    return (
        str(number),
        one.name,
        f"{one.value:.4g}",
        f"{one.error:.2g}",
        f"{one.limit:.4g}",
        verdict,
        one.meaning,
    )


def stages(analysis: "Analysis") -> Markup:
    """Return the time of each stage and what it found in the block that is shown."""
    rows = [
        (stage, whole(runs), f"{seconds:.4g}", f"{seconds / runs:.4g}")
        for stage, (runs, seconds) in total_seconds(analysis.blocks).items()
    ]
    parts = [tag("h2", "Stages"), table(("stage", "times run #", "total s #", "mean s #"), rows)]
    block = shown_block(analysis.blocks) or next(iter(analysis.blocks), None)
    if block is not None:
        facts = [(report.stage, name, figure(value)) for report in block.stages for name, value in report.facts.items()]
        parts += [tag("h3", f"Facts of block {block.number}"), table(("stage", "fact", "value #"), facts)]
    return join(parts)


def run_facts(analysis: "Analysis") -> Markup:
    """Return clock, sifting, losses and clicks of the whole run."""
    count = analysis.series.count
    clock = [(name, figure(value)) for name, value in analysis.clock.items()]
    sifted = [
        ("detections", whole(count.detections)),
        ("without the sender's setting", whole(count.without_setting)),
        ("in the public preamble", whole(count.sync)),
        ("measured in the other basis", whole(count.other_basis)),
        ("sifted", whole(count.sifted)),
    ]
    losses = [
        (party.value, whole(loss.tags), whole(loss.lost), whole(loss.gaps)) for party, loss in analysis.losses.items()
    ]
    marked = frozenset(at for at, loss in enumerate(analysis.losses.values()) if loss.lost or loss.gaps)
    return join(
        (
            tag("h2", "Clock"),
            table(("fact", "value #"), clock),
            tag("h2", "Sifting"),
            table(("what became of detections", "count #"), sifted),
            tag("h2", "Losses"),
            table(("receiver", "tags #", "lost #", "gaps #"), losses, marked=marked),
            tag("h2", "Clicks"),
            _clicks(analysis),
        )
    )


def _clicks(analysis: "Analysis") -> Markup:
    head = ("receiver", "tags #", "outside the gate #", "in dead time #", "ignored #", "events #", "multi-click #")
    rows = [
        (
            party.value,
            *map(whole, (one.tags, one.outside, one.in_dead_time, one.ignored, one.events, one.multi)),
            *map(whole, one.clicks.tolist()),
        )
        for party, one in analysis.series.arrivals.items()
    ]
    return table((*head, *(f"{name} #" for name in OUTCOMES)), rows)


def configuration(analysis: "Analysis") -> Markup:
    """Return the whole link file with its defaults, folded away."""
    text = json.dumps(analysis.link.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return tag("details", tag("summary", "Link configuration with all defaults"), tag("pre", text))
