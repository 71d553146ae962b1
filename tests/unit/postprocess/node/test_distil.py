"""One block of sifted bits becomes a key, or a refusal with its reason."""

import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_mock import MockerFixture

from faintlink.core.config.link import Acceptance, Distillation, Monitors, SecurityPolicy
from faintlink.core.entropy import Entropy, OsEntropy, RecordingEntropy, ReplayEntropy, SeededEntropy
from faintlink.core.errors import (
    ConfigError,
    LocalProtocolError,
    MonitorVetoError,
    NotEnoughSignalsError,
    QberTooHighError,
    VerificationFailedError,
)
from faintlink.core.symbols import Basis, Party
from faintlink.core.units import Bits
from faintlink.postprocess.node.distil import PUBLIC_PURPOSES, BlockResult, KeyBlock, distil
from faintlink.postprocess.node.machine import Steps
from faintlink.postprocess.node.reconciling import Asked, ask_all
from faintlink.postprocess.qkd.cascade import reconcile
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.reconciliation import Plan
from faintlink.postprocess.qkd.sift import SiftedBits
from faintlink.postprocess.qkd.stages import StageLog

MUS, PROBABILITIES = (0.5, 0.15), (0.5, 0.5)
POLICY = SecurityPolicy(bound="tomamichel2012", length="legacy", eps_sec=1e-6, eps_cor=1e-9)
DECOY_POLICY = SecurityPolicy(bound="rusca2018", length="legacy", eps_sec=1e-6, eps_cor=1e-9)
OBJECTION = MonitorReading("arrival of X1 after Z0 in ps", 700.0, 150.0, 2.0, True, "align the delays")
QUIET = MonitorReading("bit bias", 0.001, 0.05, 0.002, False, "fine")


def sifted(n: int = 40_000, *, qber: float = 0.02, test: float = 0.3, is_decoy: bool = False) -> SiftedBits:
    """Return bits as a link without any trick gives them; gains follow the intensities."""
    rng = np.random.default_rng(12)
    basis = (rng.random(n) < test).astype(np.uint8)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    bob = (alice ^ (rng.random(n) < qber)).astype(np.uint8)
    share = MUS[0] * PROBABILITIES[0] / sum(m * p for m, p in zip(MUS, PROBABILITIES, strict=True))
    intensity = (rng.random(n) >= share).astype(np.uint8) if is_decoy else np.zeros(n, np.uint8)
    return SiftedBits(np.arange(n), basis, intensity, alice, bob)


def result_of(
    bits: SiftedBits,
    policy: SecurityPolicy = POLICY,
    *,
    entropy: Entropy | None = None,
    monitors: tuple[MonitorReading, ...] = (QUIET,),
) -> BlockResult:
    is_decoy = policy.bound == "rusca2018"
    return distil(
        KeyBlock(3, 1_000, bits, monitors),
        policy,
        intensities=MUS if is_decoy else (),
        probabilities=PROBABILITIES if is_decoy else (),
        entropy=entropy or SeededEntropy(5),
    )


def stages(result: BlockResult) -> list[str]:
    return [report.stage for report in result.stages]


def facts(result: BlockResult, stage: str) -> dict[str, Any]:
    return dict([report for report in result.stages if report.stage == stage][-1].facts)


@pytest.mark.parametrize("policy", [POLICY, DECOY_POLICY], ids=["pairs", "decoy"])
def test_both_parties_get_the_same_key(policy: SecurityPolicy) -> None:
    is_decoy = policy is DECOY_POLICY
    result = result_of(sifted(400_000 if is_decoy else 40_000, is_decoy=is_decoy), policy)
    alice, bob = result.keys[Party.ALICE], result.keys[Party.BOB]
    assert (alice.data, alice.key_id, alice.bits) == (bob.data, bob.key_id, bob.bits)
    assert result.refusal is None
    assert result.bound is not None
    assert result.key_bits == result.bound.length > 5_000
    assert stages(result) == ["monitor", "estimate", "reconcile", "verify", "bound", "amplify"]
    assert (result.number, result.start) == (3, 1_000)
    ones = np.unpackbits(np.frombuffer(alice.data, np.uint8))[: alice.bits]
    # A fair key: 6 sigma.
    assert abs(float(ones.mean()) - 0.5) < 3.0 / math.sqrt(alice.bits)


def test_the_epsilon_of_the_key_is_the_sum_of_its_ledger() -> None:
    result = result_of(sifted())
    assert result.keys[Party.ALICE].epsilon == result.ledger.total
    assert result.ledger.total == pytest.approx(POLICY.eps_sec + POLICY.eps_cor, rel=1e-12)


def test_errors_by_intensity_are_the_true_ones() -> None:
    bits = sifted(400_000, is_decoy=True)
    result = result_of(bits, DECOY_POLICY)
    wrong = bits.alice != bits.bob
    for basis, counted in ((Basis.Z, result.counts.m_key), (Basis.X, result.counts.m_test)):
        truth = [int(np.sum(wrong & (bits.basis == basis) & (bits.intensity == k))) for k in (0, 1)]
        assert list(counted) == truth
    assert result.qber_key.rate == pytest.approx(0.02, abs=0.001)


def test_the_same_random_bits_give_the_same_key() -> None:
    one, other = (result_of(sifted(), entropy=SeededEntropy(9)) for _ in range(2))
    assert one.keys[Party.BOB].data == other.keys[Party.BOB].data
    assert one.keys[Party.BOB].key_id == other.keys[Party.BOB].key_id
    assert result_of(sifted(), entropy=SeededEntropy(10)).keys[Party.BOB].data != one.keys[Party.BOB].data


def test_a_replay_of_the_public_bits_gives_the_same_key() -> None:
    source = RecordingEntropy(SeededEntropy(9), PUBLIC_PURPOSES)
    first = result_of(sifted(), entropy=source)
    assert [purpose for purpose, _ in source.recorded] == ["cascade", "verification", "toeplitz", "key id"]
    again = result_of(sifted(), entropy=ReplayEntropy(source.recorded))
    assert again.keys[Party.ALICE].data == first.keys[Party.ALICE].data


def test_a_replay_with_another_policy_is_refused() -> None:
    source = RecordingEntropy(SeededEntropy(9), PUBLIC_PURPOSES)
    result_of(sifted(), entropy=source)
    stricter = POLICY.model_copy(update={"eps_cor": 1e-12})
    with pytest.raises(LocalProtocolError, match="verification") as caught:
        result_of(sifted(), stricter, entropy=ReplayEntropy(source.recorded))
    assert "configuration" in caught.value.hint


def test_only_secret_random_bits_make_a_usable_key() -> None:
    assert result_of(sifted(), entropy=OsEntropy()).is_usable
    assert not result_of(sifted(), entropy=SeededEntropy(1)).is_usable


def assert_refused(result: BlockResult, kind: type[Exception], last_stage: str) -> None:
    assert type(result.refusal) is kind
    assert (result.keys, result.key_bits, result.is_usable) == ({}, 0, False)
    assert result.ledger.parts == ()
    assert stages(result)[-1] == last_stage


def test_too_many_errors_in_the_test_basis_are_refused_before_anything_is_disclosed() -> None:
    source = RecordingEntropy(SeededEntropy(1), PUBLIC_PURPOSES)
    result = result_of(sifted(qber=0.15), entropy=source)
    assert_refused(result, QberTooHighError, "estimate")
    assert source.recorded == []
    assert "15." in str(result.refusal)
    assert "11.00%" in str(result.refusal)
    assert result.bound is None


def test_too_many_errors_in_the_key_basis_alone_are_refused() -> None:
    bits = sifted(qber=0.0)
    rng = np.random.default_rng(3)
    bob = bits.bob ^ ((bits.basis == Basis.Z) & (rng.random(len(bits)) < 0.13)).astype(np.uint8)
    result = result_of(replace(bits, bob=bob))
    assert_refused(result, QberTooHighError, "verify")
    assert "key basis" in str(result.refusal)
    assert result.qber_test.rate == 0.0


@pytest.mark.parametrize(("test", "what"), [(0.0, "0 in the test basis"), (1.0, "0 bits in the key basis")])
def test_an_empty_basis_is_refused(test: float, what: str) -> None:
    result = result_of(sifted(test=test))
    assert_refused(result, NotEnoughSignalsError, "estimate")
    assert what in str(result.refusal)


def test_no_bits_at_all_are_refused() -> None:
    assert_refused(result_of(sifted(0)), NotEnoughSignalsError, "estimate")


def test_too_few_counts_are_refused_in_the_words_of_the_bound() -> None:
    result = result_of(sifted(600))
    assert_refused(result, NotEnoughSignalsError, "bound")
    assert result.bound is not None
    assert result.bound.refusal
    assert result.bound.refusal in str(result.refusal)


def test_an_objecting_monitor_vetoes_the_key_with_its_sentence() -> None:
    result = result_of(sifted(), monitors=(QUIET, OBJECTION))
    assert_refused(result, MonitorVetoError, "monitor")
    assert OBJECTION.sentence in str(result.refusal)
    assert QUIET.sentence not in str(result.refusal)
    assert result.monitors == (QUIET, OBJECTION)


@pytest.mark.parametrize("readings", [(), (OBJECTION,)])
def test_a_rehearsal_without_vetoes_makes_a_key_that_is_never_usable(readings: tuple[MonitorReading, ...]) -> None:
    policy = POLICY.model_copy(update={"monitors": Monitors(vetoes=False)})
    result = result_of(sifted(), policy, monitors=readings, entropy=OsEntropy())
    assert result.key_bits > 0
    assert not result.is_usable


def test_counts_that_do_not_fit_the_bound_are_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError):
        distil(KeyBlock(0, 0, sifted(), ()), DECOY_POLICY, intensities=(), probabilities=(), entropy=SeededEntropy(1))


def test_a_fixed_length_bound_makes_no_key_from_counts_unless_the_policy_says_so() -> None:
    source = RecordingEntropy(SeededEntropy(1), PUBLIC_PURPOSES)
    with pytest.raises(ConfigError, match="fixed before the block"):
        result_of(sifted(), POLICY.model_copy(update={"length": "variable"}), entropy=source)
    assert source.recorded == []


def test_the_planning_formula_makes_no_key() -> None:
    with pytest.raises(ConfigError, match="planning only"):
        result_of(sifted(), POLICY.model_copy(update={"bound": "asymptotic"}))


def test_a_legacy_key_carries_its_label() -> None:
    result = result_of(sifted())
    assert result.bound is not None
    assert "outside the theorem" in result.bound.label
    assert facts(result, "bound")["label"] == result.bound.label


@pytest.mark.parametrize(("n_min", "made"), [(27_000, True), (29_000, False)])
def test_a_fixed_length_is_given_or_refused_whole(n_min: int, made: bool) -> None:
    agreed = Acceptance(n_min=n_min, s1_min=27_000, phi_max=0.07, leak_max=6_000)
    result = result_of(sifted(), POLICY.model_copy(update={"length": "fixed", "acceptance": agreed}))
    if made:
        entropy = -0.07 * math.log2(0.07) - 0.93 * math.log2(0.93)
        assert result.key_bits == math.floor(27_000 * (1 - entropy) - 6_000 - math.log2(2e21)) > 10_000
    else:
        assert_refused(result, NotEnoughSignalsError, "bound")
        assert "n_min is 29000" in str(result.refusal)


def test_authentication_stands_in_the_ledger_where_the_policy_counts_it() -> None:
    result = result_of(sifted(), POLICY.model_copy(update={"eps_auth": 1e-10}))
    assert result.ledger.authentication == 1e-10
    assert result.keys[Party.BOB].epsilon == result.ledger.total


class Spoiled:
    """Lets the first reconciliations of a block end as a test wants, with true leaks counted by both sides."""

    def __init__(self, mocker: MockerFixture, *, spoils: Callable[[int, Bits, Bits], Bits]) -> None:
        self.hints: list[float] = []
        self.leaks: list[int] = []
        self._spoils = spoils
        self._true = ask_all
        mocker.patch("faintlink.postprocess.node.bob.ask_all", self._ask)

    def _ask(self, bits: Bits, plan: Plan, seed: bytes) -> Steps[Asked]:
        asked = yield from self._true(bits, plan, seed)
        self.hints.append(plan.qber)
        self.leaks.append(asked.leaked)
        return replace(asked, bits=self._spoils(len(self.leaks), asked.bits, bits))


def as_before(attempts: int) -> Callable[[int, Bits, Bits], Bits]:
    """Return what leaves Bob's bits as they were in the first ``attempts``."""
    return lambda attempt, after, before: before.copy() if attempt <= attempts else after


def test_a_key_that_cannot_be_verified_is_tried_twice_and_refused(mocker: MockerFixture) -> None:
    bits = sifted()
    spoiled = Spoiled(mocker, spoils=as_before(2))
    result = result_of(bits)
    assert_refused(result, VerificationFailedError, "verify")
    assert len(spoiled.leaks) == 2
    assert facts(result, "reconcile")["leak_ec"] == sum(spoiled.leaks)
    assert [report.facts["agrees"] for report in result.stages if report.stage == "verify"] == [False, False]
    assert result.bound is None


def test_the_second_attempt_has_a_larger_hint_and_finds_the_true_errors(mocker: MockerFixture) -> None:
    bits = sifted()
    spoiled = Spoiled(mocker, spoils=as_before(1))
    result = result_of(bits)
    assert result.key_bits > 0
    assert spoiled.hints[1] >= 2 * spoiled.hints[0]
    wrong = (bits.alice != bits.bob) & (bits.basis == Basis.Z)
    assert result.counts.m_key == (int(wrong.sum()),)


@pytest.mark.parametrize("failed", [0, 1])
def test_all_that_was_disclosed_shortens_the_key_failed_attempts_and_their_tags_too(
    mocker: MockerFixture, failed: int
) -> None:
    bits = sifted()
    spoiled = Spoiled(mocker, spoils=as_before(failed))
    result = result_of(bits)
    assert result.bound is not None
    tags = [report.facts["tag_bits"] for report in result.stages if report.stage == "verify"]
    # Both attempts share eps_cor, so each tag has log2(4 / 1e-9) = 31.9 bits, and each verdict one. The bound itself
    # takes log2(2 / 1e-9) = 30.9 bits off.
    assert tags == [33] * (failed + 1)
    disclosed = sum(spoiled.leaks) + sum(int(str(tag)) for tag in tags)
    assert result.bound.terms["leak_ec_upper"] + math.log2(2 / 1e-9) >= disclosed
    assert result.bound.terms["leak_ec_upper"] == disclosed - 30


def with_one_frame_wrong(attempt: int, after: Bits, before: Bits) -> Bits:
    """Spoil one bit of the last frame."""
    del attempt, before
    wrong = after.copy()
    wrong[-1] ^= 1
    return wrong


def test_a_frame_that_fails_twice_is_opened_and_costs_its_bits_alone(mocker: MockerFixture) -> None:
    bits = sifted(400_000)
    good = result_of(bits)
    spoiled = Spoiled(mocker, spoils=with_one_frame_wrong)
    result = result_of(bits)
    found = facts(result, "verify")
    n = result.counts.key.bits
    frames = int(facts(good, "verify")["frames"])
    assert frames == math.ceil(n / 65_536) > 3
    assert found["opened"] == pytest.approx(n / frames, abs=frames)
    assert result.counts == good.counts
    assert result.keys[Party.ALICE].data == result.keys[Party.BOB].data
    cost = int(found["opened"]) + spoiled.leaks[1] + int(found["tag_bits"])
    assert result.key_bits == good.key_bits - cost


def test_without_frames_the_same_fault_costs_the_block(mocker: MockerFixture) -> None:
    bits = sifted(400_000)
    Spoiled(mocker, spoils=with_one_frame_wrong)
    whole = Distillation(frame_verification=False)
    result = distil(
        KeyBlock(0, 0, bits, ()), POLICY, intensities=(), probabilities=(), entropy=SeededEntropy(1), distillation=whole
    )
    assert_refused(result, VerificationFailedError, "verify")


@pytest.mark.parametrize("name", ["auto", "cascade", "cascade-few-messages", "ldpc"])
@pytest.mark.parametrize("family", ["toeplitz", "modular"])
def test_whoever_corrects_and_whatever_amplifies_both_parties_get_one_key(name: str, family: str) -> None:
    source = RecordingEntropy(SeededEntropy(9), PUBLIC_PURPOSES)
    wanted = Distillation.model_validate({"reconciliation": name, "hash_family": family})
    block = KeyBlock(0, 0, sifted(100_000, qber=0.03), ())
    result = distil(block, POLICY, intensities=(), probabilities=(), entropy=source, distillation=wanted)
    assert result.key_bits > 5_000
    assert result.keys[Party.ALICE].data == result.keys[Party.BOB].data
    drawn = [purpose for purpose, _ in source.recorded]
    assert drawn == ["ldpc" if name == "ldpc" else "cascade", "verification", family, "key id"]


CANARY = np.unpackbits(np.frombuffer(b"SECRET-KEY-BITS!" * 2_500, np.uint8))
_BIT_STRING = re.compile(r"(?:[01][\s,]*){24}")


def shows_bits(text: str) -> bool:
    """Return whether a text shows the canary's bits, or the bits of any array, in some usual form."""
    words = (b"SECRET-KEY-BITS!".hex(), "SECRET-KEY", "U0VDUkVU", "array(")
    return any(word in text for word in words) or _BIT_STRING.search(text) is not None


def test_the_search_for_bits_finds_them() -> None:
    assert shows_bits(repr(CANARY[:40]))
    assert shows_bits("".join(map(str, CANARY[:40])))
    assert not shows_bits("frames=1000, 0.0123, 10101")


def test_no_bit_is_in_a_log_a_repr_or_a_fact(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bits = sifted(CANARY.size)
    bits = replace(bits, alice=CANARY, bob=CANARY ^ bits.alice ^ bits.bob)
    block = KeyBlock(0, 0, bits, ())
    report = reconcile(bits.alice, bits.bob, 0.02, SeededEntropy(1))
    result = result_of(bits)
    assert result.key_bits > 0
    texts = [repr(block), repr(bits), repr(report), repr(result), repr(result.keys), caplog.text]
    texts += [repr(dict(stage.facts)) for stage in result.stages]
    assert not [text[:300] for text in texts if shows_bits(text)]
    key = result.keys[Party.ALICE].data
    assert not [text for text in texts if key.hex()[:16] in text or repr(key)[2:20] in text]


def test_no_bit_is_in_the_words_of_a_refusal(mocker: MockerFixture) -> None:
    Spoiled(mocker, spoils=as_before(9))
    refusals = [result_of(sifted()), result_of(sifted(600)), result_of(sifted(qber=0.2))]
    assert not [one for one in refusals if shows_bits(str(one.refusal)) or shows_bits(repr(one))]


def test_a_stage_that_aborts_still_reports_what_it_found() -> None:
    log = StageLog()

    def aborts() -> None:
        with log.stage("estimate") as found:
            found["n"] = 5
            raise QberTooHighError("too many")

    with pytest.raises(QberTooHighError):
        aborts()
    [report] = log.reports
    assert (report.stage, dict(report.facts)) == ("estimate", {"n": 5})
    assert report.seconds >= 0.0
