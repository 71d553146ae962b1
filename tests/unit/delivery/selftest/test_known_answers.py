"""A start needs every known answer: one wrong byte in any vector refuses it."""

import hashlib
import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import AuditError, SelfTestError
from faintlink.delivery.selftest import algorithms, known_answers
from faintlink.delivery.selftest.gate import SelfTestGate
from faintlink.delivery.selftest.known_answers import Vector, require_passed, try_all, vectors
from faintlink.delivery.witness import Event, Fact, SilentWitness
from faintlink.postprocess.qkd import verify

ALL = {vector.name: vector for vector in vectors()}


class Remembering:
    """Keeps facts in a list."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def note(self, fact: Fact) -> None:
        self.facts.append(fact)


class Failing:
    """Cannot write."""

    def note(self, fact: Fact) -> None:
        raise AuditError("the disk is full", hint="free it")


def gate(*chosen: Vector, witness: Remembering | Failing | None = None) -> SelfTestGate:
    return SelfTestGate(witness or SilentWitness(), site="site-a", chosen=lambda: chosen)


def inverted(data: bytes, at: int) -> bytes:
    """Invert a whole byte: seeds end within a byte, and their last bits have no use."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def corruptions() -> list[tuple[str, str, int]]:
    """(vector, field, byte): three bytes of each input, and of the answer.

    None is in the middle: there begins the addend of the modular hash, whose low bits matter only by their carry.
    """
    return [
        (vector.name, field, at)
        for vector in vectors()
        for field, data in [*vector.inputs.items(), ("expected", vector.expected)]
        for at in sorted({0, len(data) // 3, len(data) - 1})
        if data
    ]


def test_all_known_answers_are_given() -> None:
    require_passed(try_all(vectors()))


def test_every_algorithm_has_a_vector_and_every_vector_an_origin() -> None:
    assert {vector.algorithm for vector in vectors()} == set(algorithms.ALGORITHMS)
    assert all(len(vector.origin) > 6 for vector in vectors())
    assert len(ALL) == len(vectors())


@pytest.mark.parametrize(("name", "field", "at"), corruptions())
def test_one_wrong_byte_in_any_vector_refuses_the_start(name: str, field: str, at: int) -> None:
    good = ALL[name]
    if field == "expected":
        bad = replace(good, expected=inverted(good.expected, at))
    else:
        bad = replace(good, inputs={**good.inputs, field: inverted(good.inputs[field], at)})
    (result,) = [known_answers._try(bad)]
    with pytest.raises(SelfTestError, match="1 known-answer tests failed"):
        require_passed([result])


@pytest.mark.parametrize("name", list(ALL))
def test_a_gate_with_one_bad_vector_stays_shut(name: str) -> None:
    bad = replace(ALL[name], expected=inverted(ALL[name].expected, 0))
    shut = gate(*(bad if vector.name == name else vector for vector in vectors()))
    with pytest.raises(SelfTestError, match=f"1 known-answer tests failed: {re.escape(name)}"):
        shut.run()
    assert not shut.is_open
    with pytest.raises(SelfTestError, match="nothing is handed out"):
        shut.require_open()


def test_an_algorithm_that_would_go_untested_refuses_the_start() -> None:
    chosen = [vector for vector in vectors() if vector.algorithm != "aes-gcm"]
    with pytest.raises(SelfTestError, match="no vector tests aes-gcm"):
        try_all(chosen)


def test_an_algorithm_that_raises_has_failed() -> None:
    broken = replace(ALL["Ed25519 2"], inputs={})
    assert not known_answers._try(broken).has_passed


def test_an_unknown_algorithm_has_failed() -> None:
    assert not known_answers._try(replace(ALL["Base64"], algorithm="rot13")).has_passed


@pytest.mark.parametrize("text", ["", "1", "[{}]", '[{"name": "x", "inputs": {}, "expected": "zz"}]'])
def test_a_file_that_holds_no_vectors_refuses_the_start(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vectors.json").write_text(text)
    monkeypatch.setattr(known_answers, "files", lambda _: tmp_path)
    with pytest.raises(SelfTestError, match="holds no vectors"):
        vectors()


def test_a_file_from_which_vectors_were_cut_refuses_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads((resources.files("faintlink.delivery.selftest") / "vectors.json").read_text("utf-8"))
    (tmp_path / "vectors.json").write_text(json.dumps(rows[:3]))
    monkeypatch.setattr(known_answers, "files", lambda _: tmp_path)
    with pytest.raises(SelfTestError, match="no vector tests"):
        try_all(vectors())


def test_the_gate_is_shut_until_the_tests_have_passed_and_tells_the_witness() -> None:
    witness = Remembering()
    opening = SelfTestGate(witness, site="site-a")
    with pytest.raises(SelfTestError, match="have not run"):
        opening.require_open()
    opening.run()
    opening.require_open()
    assert len(opening.entropy().draw(32, "test")) == 32
    (fact,) = witness.facts
    assert (fact.event, fact.about["passed"], fact.about["known_answers"]) == (Event.SELF_TEST, 1, len(ALL))


def test_a_gate_that_failed_stays_shut_though_the_tests_pass_later() -> None:
    chosen = [replace(ALL["Base64"], expected=b"")]
    witness = Remembering()
    shut = SelfTestGate(witness, site="site-a", chosen=lambda: chosen)
    with pytest.raises(SelfTestError):
        shut.run()
    chosen[:] = list(vectors())
    with pytest.raises(SelfTestError, match="nothing is handed out"):
        shut.run()
    assert [fact.about["passed"] for fact in witness.facts] == [0]


def test_an_outcome_that_cannot_be_noted_leaves_the_gate_shut() -> None:
    shut = SelfTestGate(Failing(), site="site-a")
    with pytest.raises(AuditError):
        shut.run()
    assert not shut.is_open


class TestOwnVectors:
    """The answers of the project's own hashes, from their definitions, by integers and loops."""

    def test_toeplitz(self) -> None:
        given, n, r = ALL["Toeplitz hash, 512 to 200 bits"], 512, 200
        key = np.unpackbits(np.frombuffer(given.inputs["key"], np.uint8)).tolist()
        t = np.unpackbits(np.frombuffer(given.inputs["seed"], np.uint8)).tolist()
        answer = [key[i] ^ sum(t[i - j + n - r - 1] & key[r + j] for j in range(n - r)) & 1 for i in range(r)]
        assert np.packbits(answer).tobytes() == given.expected

    def test_modular(self) -> None:
        given, n, r = ALL["Modular hash, 512 to 200 bits"], 512, 200
        x = int.from_bytes(bytes(int(f"{byte:08b}"[::-1], 2) for byte in given.inputs["key"]), "little")
        half = len(given.inputs["seed"]) // 2
        a, b = (int.from_bytes(given.inputs["seed"][i : i + half], "little") % 2 ** (n + r - 1) for i in (0, half))
        hashed = (a * x + b) % 2 ** (n + r - 1) >> (n - 1)
        answer = bytes(int(f"{byte:08b}"[::-1], 2) for byte in hashed.to_bytes(r // 8, "little"))
        assert answer == given.expected

    def test_verification(self) -> None:
        given, prime = ALL["Verification hash of 512 bits"], 2**61 - 1
        cost = verify.VerificationCost.for_key(2.0**-49, 512)
        words = bytes(int(f"{byte:08b}"[::-1], 2) for byte in given.inputs["key"])
        word = 0
        for k in range(cost.points):
            point = (int.from_bytes(given.inputs["seed"][8 * k : 8 * k + 8], "little") & prime) % prime
            powers = [512, *(int.from_bytes(words[i : i + 4], "little") for i in range(0, 64, 4))]
            value = sum(c * pow(point, len(powers) - 1 - i, prime) for i, c in enumerate(powers)) % prime
            word = word << 61 | value
        diagonals = int.from_bytes(given.inputs["seed"][8 * cost.points :], "little")
        mask = (1 << 61 * cost.points) - 1
        tag = sum((bin((diagonals >> row) & mask & word).count("1") & 1) << row for row in range(cost.bits))
        assert tag.to_bytes(len(given.expected), "big") == given.expected

    @pytest.mark.parametrize("name", [name for name in ALL if ALL[name].algorithm.startswith("reconciliation")])
    def test_reconciliation_gives_the_senders_key(self, name: str) -> None:
        given = ALL[name]
        alice, bob = (np.unpackbits(np.frombuffer(given.inputs[party], np.uint8)) for party in ("alice", "bob"))
        assert given.expected[:32] == hashlib.sha256(given.inputs["alice"]).digest()
        assert int.from_bytes(given.expected[-4:], "big") == np.count_nonzero(alice != bob) > 50
