"""The pages on threats, audit and compliance name tests, options and figures that exist."""

import re

import pytest

from faintlink.delivery.access import UNIX_GROUPS
from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.commands.audit import audit
from faintlink.delivery.commands.evidence import evidence
from faintlink.delivery.commands.selftest import selftest
from faintlink.delivery.commands.zeroize import WISHES, zeroize
from faintlink.delivery.evidence.families import CLAIM
from faintlink.delivery.selftest.health import bit_cutoffs
from faintlink.delivery.selftest.source import FALSE_ALARM
from tests.data import ROOT

DOCS = ROOT / "docs"
THREATS = (DOCS / "explanation" / "threat-model.md").read_text()
COMPLIANCE = (DOCS / "explanation" / "compliance.md").read_text()
AUDIT = (DOCS / "howto" / "audit.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[^`]+)`", THREATS))))
def test_every_test_that_the_threat_model_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def rows() -> list[list[str]]:
    """Rows of attacks: name, countermeasure, gap, test."""
    attacks = THREATS.partition("## Attacks on the quantum link")[2].partition("## Mistakes")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in attacks.splitlines() if line.startswith("|")
    ]
    return [row for row in cells if len(row) == 4 and row[0] not in ("Attack", "---")]


def test_every_attack_has_a_test_or_is_called_a_gap() -> None:
    assert len(rows()) >= 30
    for name, _, gap, test in rows():
        assert test != "none" or "**gap**" in gap, name
        assert test == "none" or "tests/" in test, name


def test_every_attack_that_was_measured_is_in_the_threat_model() -> None:
    measured = (DOCS / "explanation" / "attacks.md").read_text().partition("## Measured")[0]
    named = " ".join(row[0].lower() for row in rows())
    for attack in re.findall(r"^\| ([A-Z][^|]+?) \|", measured, re.MULTILINE):
        if attack != "Attack":
            assert attack.lower().split(",")[0].split(" that")[0] in named, attack


def test_the_figures_of_the_health_tests_are_those_of_the_program() -> None:
    repetition, proportion = bit_cutoffs(1.0, FALSE_ALARM)
    assert FALSE_ALARM == 2.0**-40
    assert f"{repetition} equal bits in a row, or {proportion} of a window of 1024" in COMPLIANCE.replace("\n", " ")


def test_the_pages_claim_what_may_be_claimed() -> None:
    assert f"**{CLAIM}**" in COMPLIANCE
    for page in (THREATS, COMPLIANCE, AUDIT):
        assert "unconditional" not in page


def test_options_and_groups_on_the_page_are_those_of_the_commands() -> None:
    known = {
        option
        for command in (*audit.commands.values(), evidence, selftest, zeroize)
        for one in command.params
        for option in one.opts
    }
    lines = re.findall(r"faintlink .*", AUDIT)
    assert {option for line in lines for option in re.findall(r" (--[a-z-]+)", line)} <= known
    assert set(re.findall(r"`(faintlink-[a-z]+)`", AUDIT)) == set(UNIX_GROUPS)
    assert f"install -d -m 1777 {WISHES}" in AUDIT
    assert f"one per {AuditLimits().anchor_records} facts" in AUDIT
