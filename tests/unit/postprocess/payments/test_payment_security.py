"""The certificate of a payment, and the file that client and bank share of a session."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.errors import RunExistsError, SchemaError
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.conjugate.guessing import guessing_error
from faintlink.postprocess.conjugate.tails import lower_tail
from faintlink.postprocess.payments.account import FILE_NAME, account_of, fresh_account
from faintlink.postprocess.payments.security import certify, differing, double_spending, two_allowances

POLICY = PaymentPolicy(pulses=4_800_000, max_error_rate=0.03, merchants=("Bakery", "Bookshop", "Kiosk", "Pharmacy"))
GOOD = ErrorCount(10_000, 80)


def test_the_shipped_policy_is_certified() -> None:
    certificate = certify(POLICY, 0.02, detections=34_000, errors=GOOD)
    assert certificate.shortcomings(POLICY) == []
    assert certificate.eps_double <= 1e-9
    assert certificate.errors == 636
    assert certificate.differing == 9400


def test_errors_of_both_merchants_count_where_their_bases_differ() -> None:
    # Pulses without photons in excess and perfect states: BinCDF(2 gamma c; L, lambda) and nothing else.
    policy = POLICY.model_copy(
        update={"preparation_angle_deg": 0.0, "basis_bias": 0.0, "bit_bias": 0.0, "mean_photon_uncertainty": 0.0}
    )
    bound = double_spending(policy, 0.0)
    assert bound.guessing == lower_tail(differing(policy), two_allowances(policy), guessing_error(0.0, 0.0))
    naive = lower_tail(differing(policy), int(0.03 * differing(policy)), guessing_error(0.0, 0.0))
    assert naive < bound.guessing * Fraction(1, 10**100)


def test_no_error_rate_above_half_of_a_forgers_is_certified() -> None:
    policy = POLICY.model_copy(update={"max_error_rate": 0.065})
    assert certify(policy, 0.02, detections=34_000, errors=GOOD).eps_double == 1.0


@pytest.mark.parametrize(
    ("mean", "detections", "errors", "word"),
    [
        (0.5, 34_000, GOOD, "eps_double"),
        (0.02, 20_100, GOOD, "eps_honest"),
        (0.02, 34_000, ErrorCount(10_000, 280), "eps_honest"),
    ],
)
def test_what_falls_short_is_said(mean: float, detections: int, errors: ErrorCount, word: str) -> None:
    (found,) = certify(POLICY, mean, detections=detections, errors=errors).shortcomings(POLICY)
    assert found.startswith(word)


@pytest.mark.parametrize(
    "changes",
    [{"merchants": ("Bakery",)}, {"merchants": ("A", "A")}, {"positions": 10, "pulses": 9}, {"merchants": ("", "B")}],
)
def test_a_policy_that_does_not_add_up_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PaymentPolicy.model_validate({**POLICY.model_dump(), **changes})


def run_beside(folder: Path) -> Run:
    return cast("Run", {"bob": SimpleNamespace(paths=[folder / "bob-0000.h5"])})


def test_a_session_is_kept_beside_the_run_for_its_owner_only(tmp_path: Path) -> None:
    account = fresh_account("Bakery")
    account.write(tmp_path)
    assert account_of(run_beside(tmp_path)) == account
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    assert account.secret.hex() not in repr(account)
    with pytest.raises(RunExistsError):
        account.write(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other"}', '{"format": "faintlink-payment-client/1"}'])
def test_a_damaged_session_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SchemaError, match="no session"):
        account_of(run_beside(tmp_path))
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(SchemaError, match="no session"):
        account_of(run_beside(tmp_path))


def test_a_secret_of_another_length_is_refused(tmp_path: Path) -> None:
    fresh_account("Bakery").write(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace('"secret": "', '"secret": "00'))
    with pytest.raises(SchemaError):
        account_of(run_beside(tmp_path))
