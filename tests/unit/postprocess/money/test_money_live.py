"""The live analysis of a card asks for every pulse once, in order, and counts as that of keys."""

import numpy as np
import pytest

from faintlink.acquisition.commands.money import VISIBILITY
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.symbols import Party
from faintlink.core.units import Slots
from faintlink.postprocess.money.live import CardLive
from faintlink.postprocess.qkd.live import PulsedLive
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, cut, small_link

LINK = small_link()


def asked(live: CardLive | PulsedLive, made: Pulses, places: list[int]) -> Slots:
    """Return the slots that an analysis asks a sender for who answers at once."""
    found = []
    for block in [*cut(made.tags, places), None]:
        slots = live.finish() if block is None else live.feed(Party.BOB, block)
        slots = slots[slots < made.codes.size]
        live.account(slots, made.codes[slots])
        found.append(slots)
    return np.concatenate(found)


@pytest.mark.parametrize("places", [[], [100, 5_000, 50_000]])
def test_every_pulse_of_the_card_is_asked_for_once(places: list[int]) -> None:
    made = PulsedLink(early_s=0.005).make()
    first = LINK.source.preamble.slots if LINK.source else 0
    card, keys = CardLive(LINK, SQUASH_SEED, pulses=20_000), PulsedLive(LINK, SQUASH_SEED)
    slots, clicked = asked(card, made, places), asked(keys, made, places)
    assert (np.diff(slots) > 0).all()
    inside = slots[(slots >= first) & (slots < first + 20_000)]
    assert np.array_equal(inside, np.arange(first, first + 20_000))
    outside = (clicked < first) | (clicked >= first + 20_000)
    assert np.array_equal(np.setdiff1d(slots, inside), clicked[outside])
    assert card.summary().qber_key == keys.summary().qber_key


def test_the_command_knows_the_contrast_of_its_table() -> None:
    station = shipped_link("money").parent / "money.station.yaml"
    assert f"visibility: {{initial_value: {VISIBILITY}}}" in station.read_text()
