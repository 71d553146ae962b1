"""The section ``bqc`` of a link file refuses what contradicts itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from faintlink.core.config.applications.bqc import BqcChannels, BqcWindow
from faintlink.core.config.loader import load_link
from faintlink.core.symbols import Party
from tests.bqc import policy_of
from tests.data import ROOT


@pytest.mark.parametrize("name", ["bqc", "bqc_two_clients"])
def test_the_shipped_link_files_load(name: str) -> None:
    link = load_link(ROOT / "lab_configs" / f"{name}.link.yaml")
    assert link.bqc is not None
    assert link.bqc.rounds == 400
    assert len(link.bqc.clients) == 1 + (name != "bqc")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"max_failed_tests": 50}, "must lie below test_rounds"),
        ({"max_attempts": 99}, "must not lie below the 100 rounds"),
        ({"senders": {Party.CHARLIE: "card"}}, "one instrument for each of the clients"),
        ({"clients": (Party.ALICE, Party.ALICE)}, "one instrument for each of the clients"),
        ({"clients": (Party.ALICE, Party.CHARLIE), "tests": "traps"}, "make no dummies"),
        ({"clients": (Party.BOB,)}, "Input should be"),
        ({"inherent_error": 0.5}, "less than 0.5"),
        ({"angles": (1, 2, 3)}, "Extra inputs"),
    ],
)
def test_a_policy_that_cannot_hold_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        policy_of(**changes)


def test_channels_must_differ_and_windows_must_end_after_their_start() -> None:
    with pytest.raises(ValidationError, match="four channels must differ"):
        BqcChannels(trigger=1, herald=1)
    with pytest.raises(ValidationError, match="ends after it starts"):
        BqcWindow(start_ps=5, end_ps=5)
