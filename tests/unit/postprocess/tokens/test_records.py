"""Records of tokens without a laboratory: with and without commitments, and links that are none of a token."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.config.loader import load_link
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, RecordMismatchError, SchemaError
from faintlink.core.recordfile import Record
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.payments.session import analyse_run as analyse_payment
from faintlink.postprocess.tokens.messages import Kind
from faintlink.postprocess.tokens.network import Order, Presented
from faintlink.postprocess.tokens.records import (
    BANK,
    hold_record,
    issue_record,
    party_folder,
    presentation_record,
    verdict_record,
    verify_files,
    verify_records,
    write_all,
)
from faintlink.postprocess.tokens.session import analyse_run, with_counted_bias
from tests.data import ROOT
from tests.tokens import Session, detections, issued, small_policy


def presented(session: Session, point: int) -> Presented:
    order = Order(point)
    decision = session.present(order)
    return Presented(order, decision, session.user.holding().encode(Kind.PRESENTATION), decision.validation_ns)


def records(policy: TokenPolicy, point: int = 1) -> list[Record]:
    """Return issue, presentation and verdict of a session whose user chose point 1."""
    session = issued(policy, 5, point=1)
    one = presented(session, point)
    name, choice = session.bank.session.hex(), session.user.choose(1)[-1]
    return [
        issue_record(policy, session.bank, "run", {}),
        presentation_record(one, name, "run", choice),
        verdict_record(one, name, "run", policy.max_error_rate),
    ]


@pytest.mark.parametrize("has_commitments", [True, False])
@pytest.mark.parametrize("bits", [1, 3])
def test_files_are_judged_as_the_agent_judged(tmp_path: Path, bits: int, has_commitments: bool) -> None:
    policy = small_policy(pulses=400 * bits, point_bits=bits, max_error_rate=0.2, has_commitments=has_commitments)
    home, key = party_folder(tmp_path, BANK)
    issue, shown, verdict = records(policy)
    write_all(home, key, [issue, shown, verdict])
    (copies,) = verify_files(home / "token-issue.h5", [home / "token-presentation.h5"], key)
    assert [copy.count.bits for copy in copies] == verdict.header["checked"]
    assert [copy.count.errors for copy in copies] == verdict.header["errors"]
    assert all(copy.is_accepted for copy in copies)


def test_a_double_spender_is_named_by_the_records_of_both_points() -> None:
    policy = small_policy(max_error_rate=0.2)
    issue, here, _ = records(policy, 1)
    _, there, _ = records(policy, 0)
    verdicts = verify_records(issue, [here, there])
    assert [copies[0].is_accepted for copies in verdicts] == [True, False]


def test_several_records_of_a_kind_are_numbered(tmp_path: Path) -> None:
    home, key = party_folder(tmp_path, BANK)
    issue, shown, _ = records(small_policy())
    write_all(home, key, [issue, shown, shown])
    assert {path.name for path in home.glob("*.h5")} == {
        "token-issue.h5",
        "token-presentation-0.h5",
        "token-presentation-1.h5",
    }


def test_a_presentation_of_another_shape_is_refused() -> None:
    issue, shown, _ = records(small_policy())
    columns = {name: column[:, :-1] for name, column in shown.groups["bank"].items()}
    with pytest.raises(RecordMismatchError, match="shape"):
        verify_records(issue, [Record(shown.kind, shown.session, "run", BANK, shown.header, {"bank": columns})])


def test_a_nonce_of_another_length_is_refused() -> None:
    issue, shown, _ = records(small_policy())
    columns = {**shown.groups["bank"], "nonces": shown.groups["bank"]["nonces"][:, :-1]}
    with pytest.raises(SchemaError, match="nonce"):
        verify_records(issue, [Record(shown.kind, shown.session, "run", BANK, shown.header, {"bank": columns})])


def test_the_user_keeps_what_it_chose() -> None:
    policy = small_policy()
    session = issued(policy, 6, point=1)
    record = hold_record(policy, session.user.held, "s", "run", 1)
    assert record.column("user_secret", "point").tolist() == [1]
    offsets = record.column("user_secret", "basis") ^ record.column("user_secret", "mask")[:, None]
    assert np.array_equal(np.packbits(offsets), np.frombuffer(session.bank.offsets[0], np.uint8))


def test_a_link_for_keys_is_none_of_an_application(tmp_path: Path) -> None:
    link = load_link(ROOT / "lab_configs" / "demo.link.yaml")
    run = cast("Run", None)
    with pytest.raises(ConfigError, match="none of a token"):
        analyse_run(run, link, tmp_path, SeededEntropy(1))
    with pytest.raises(ConfigError, match="none of a payment"):
        analyse_payment(run, link, tmp_path, SeededEntropy(1))


def test_the_counted_bias_of_bases_only_widens_the_declared_one() -> None:
    policy = small_policy(basis_bias=0.0)
    seen = detections(policy, 1)
    assert with_counted_bias(policy, seen).basis_bias > 0.05
    assert with_counted_bias(small_policy(basis_bias=0.49), seen).basis_bias == 0.49
