"""Sources of random bits, and their replay."""

import pytest

from faintlink.core.entropy import OsEntropy, RecordingEntropy, ReplayEntropy, SeededEntropy
from faintlink.core.errors import LocalProtocolError


def test_a_replay_gives_the_recorded_bits_in_order() -> None:
    record = RecordingEntropy(OsEntropy(), frozenset({"permutation", "sample"}))
    drawn = [record.draw(16, "permutation"), record.draw(8, "sample"), record.draw(16, "permutation")]
    replay = ReplayEntropy(record.recorded)
    assert [replay.draw(16, "permutation"), replay.draw(8, "sample"), replay.draw(16, "permutation")] == drawn


def test_secret_draws_are_never_recorded() -> None:
    record = RecordingEntropy(OsEntropy(), frozenset({"public"}))
    record.draw(16, "key")
    assert record.recorded == []


@pytest.mark.parametrize(("size", "purpose"), [(16, "sample"), (8, "permutation")])
def test_a_replay_refuses_another_question(size: int, purpose: str) -> None:
    replay = ReplayEntropy([("permutation", bytes(16))])
    with pytest.raises(LocalProtocolError, match=f"16 bytes of permutation, asked for {size} bytes of {purpose}"):
        replay.draw(size, purpose)


def test_an_exhausted_replay_says_so() -> None:
    with pytest.raises(LocalProtocolError, match="no more random bits"):
        ReplayEntropy([]).draw(1, "x")


def test_only_the_operating_system_is_of_secret_grade() -> None:
    assert OsEntropy().is_secret_grade
    assert RecordingEntropy(OsEntropy(), frozenset()).is_secret_grade
    assert not SeededEntropy(1).is_secret_grade
    assert not RecordingEntropy(SeededEntropy(1), frozenset()).is_secret_grade
    assert not ReplayEntropy([]).is_secret_grade


def test_a_seed_repeats_its_stream_and_purposes_are_separate() -> None:
    first, second = SeededEntropy(7), SeededEntropy(7)
    assert [first.draw(32, "a"), first.draw(32, "a")] == [second.draw(32, "a"), second.draw(32, "a")]
    fresh = SeededEntropy(7)
    assert len({fresh.draw(32, "a"), fresh.draw(32, "a"), fresh.draw(32, "b"), SeededEntropy(8).draw(32, "a")}) == 4


def test_the_order_of_purposes_does_not_matter_to_a_seed() -> None:
    first, second = SeededEntropy(7), SeededEntropy(7)
    a = first.draw(8, "a")
    second.draw(8, "b")
    assert second.draw(8, "a") == a


def test_the_operating_system_gives_what_is_asked() -> None:
    assert len(OsEntropy().draw(33, "key")) == 33
    assert OsEntropy().draw(32, "key") != OsEntropy().draw(32, "key")
