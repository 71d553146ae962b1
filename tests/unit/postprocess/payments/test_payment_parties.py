"""Client, merchant and bank: who is paid, who is not, and how often the dishonest are."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from faintlink.core.errors import NotEnoughSignalsError, RemoteProtocolError
from faintlink.postprocess.conjugate.guessing import guessing_error
from faintlink.postprocess.conjugate.tails import lower_tail
from faintlink.postprocess.payments.adversaries import (
    ALTERED_SHARE,
    ChoosingClient,
    TwoMerchantClient,
    altered,
    error_rates,
)
from faintlink.postprocess.payments.messages import Cryptogram, Kind, head
from faintlink.postprocess.payments.parties import (
    Client,
    Decision,
    MerchantShop,
    Reason,
    bases_at,
    basis_seed,
    least_distance,
)
from faintlink.postprocess.payments.security import two_allowances
from faintlink.postprocess.tokens.adversaries import BREIDBART_ERROR
from tests.payments import FIRST, MERCHANTS, Table, small_policy, table

POLICY = small_policy()
TINY = small_policy(pulses=200, positions=60, max_error_rate=0.04, min_distance=0.3, max_checked=0.7)
SEEDS = 1500


def client_of(found: Table) -> Client:
    return Client(found.policy, found.session, found.secret, found.slots, found.bit)


def paid(found: Table, client: Client, merchant: str = "Bakery") -> Decision:
    bank = found.bank()
    bank.take_report(client.report())
    return bank.branch().decide(MerchantShop(merchant).request(client.cryptogram()), merchant=merchant)


def test_an_honest_payment_is_made_at_about_half_of_the_positions() -> None:
    for seed in range(40):
        found = table(POLICY, seed)
        decision = paid(found, client_of(found))
        assert decision.is_accepted
        assert abs(decision.count.bits - 100) < 5 * math.sqrt(50)


def test_another_merchant_finds_a_quarter_wrong() -> None:
    bits = errors = 0
    for seed in range(40):
        found = table(POLICY, seed)
        decision = paid(found, client_of(found), "Kiosk")
        assert decision.reason is Reason.TOO_MANY_ERRORS
        bits, errors = bits + decision.count.bits, errors + decision.count.errors
    (expected,) = error_rates("wrong-merchant", 0.01)
    assert abs(errors / bits - expected) < 5 * math.sqrt(expected * (1 - expected) / bits)


def test_an_altered_cryptogram_errs_in_what_was_altered() -> None:
    bits = errors = 0
    rng = np.random.default_rng(5)
    for seed in range(40):
        found = table(POLICY, seed)
        bank, client = found.bank(), client_of(found)
        bank.take_report(client.report())
        request = MerchantShop("Bakery").request(altered(client.cryptogram(), ALTERED_SHARE, rng))
        decision = bank.branch().decide(request, merchant="Bakery")
        bits, errors = bits + decision.count.bits, errors + decision.count.errors
    (expected,) = error_rates("altered", 0.01)
    assert abs(errors / bits - expected) < 5 * math.sqrt(expected * (1 - expected) / bits)


def test_a_second_request_of_a_merchant_is_a_replay() -> None:
    found = table(POLICY, 1)
    bank, client = found.bank(), client_of(found)
    bank.take_report(client.report())
    branch, request = bank.branch(), MerchantShop("Bakery").request(client.cryptogram())
    assert branch.decide(request, merchant="Bakery").is_accepted
    assert branch.decide(request, merchant="Bakery").reason is Reason.REPLAYED


def test_a_request_under_another_name_than_the_line_is_refused() -> None:
    found = table(POLICY, 2)
    bank, client = found.bank(), client_of(found)
    bank.take_report(client.report())
    branch = bank.branch()
    request = MerchantShop("Bakery").request(client.cryptogram())
    assert branch.decide(request, merchant="Kiosk").reason is Reason.UNKNOWN_MERCHANT
    stranger = MerchantShop("Stranger").request(client.cryptogram())
    assert branch.decide(stranger, merchant="Stranger").reason is Reason.UNKNOWN_MERCHANT
    assert branch.decide(b"noise", merchant="Bakery").reason is Reason.MALFORMED
    assert branch.decide(request, merchant="Bakery").is_accepted


@pytest.mark.parametrize("field", ["session", "client", "positions"])
def test_a_cryptogram_of_another_session_or_client_is_refused(field: str) -> None:
    found = table(POLICY, 3)
    bank, client = found.bank(), client_of(found)
    bank.take_report(client.report())
    honest = Cryptogram.decode(client.cryptogram())
    other = {
        "session": Cryptogram(bytes(16), honest.client, honest.positions, honest.outcomes),
        "client": Cryptogram(honest.session, bytes(16), honest.positions, honest.outcomes),
        "positions": Cryptogram(honest.session, honest.client, 192, honest.outcomes[:24]),
    }[field]
    assert bank.branch().decide(other.request("Bakery"), merchant="Bakery").reason is Reason.UNKNOWN_CLIENT


def two_merchant_client(found: Table, seed: int) -> TwoMerchantClient:
    return TwoMerchantClient(
        found.policy,
        found.session,
        found.secret,
        found.slots,
        found.bit,
        sent=found.sent_bit,
        merchants=("Bakery", "Kiosk"),
        rng=np.random.default_rng(seed),
    )


def test_two_merchants_both_find_half_of_breidbarts_errors() -> None:
    bits, errors = np.zeros(2, int), np.zeros(2, int)
    for seed in range(60):
        found = table(POLICY, seed, error=0.0)
        client = two_merchant_client(found, seed)
        bank = found.bank()
        bank.take_report(client.report())
        for at, name in enumerate(("Bakery", "Kiosk")):
            count = bank.branch().decide(MerchantShop(name).request(client.cryptogram()), merchant=name).count
            bits[at] += count.bits
            errors[at] += count.errors
    expected = BREIDBART_ERROR / 2
    assert error_rates("two-merchants", 0.0) == [expected] * 2
    assert (abs(errors / bits - expected) < 5 * np.sqrt(expected * (1 - expected) / bits)).all()


def test_two_merchants_are_paid_as_often_as_predicted_and_no_more_than_proved() -> None:
    count, expected, bound = 0, 0.0, 0.0
    for seed in range(SEEDS):
        found = table(TINY, seed, error=0.0)
        client = two_merchant_client(found, seed)
        bank = found.bank()
        try:
            bank.take_report(client.report())
        except RemoteProtocolError:
            continue
        differ = bank.prescribed["Bakery"] != bank.prescribed["Kiosk"]
        passes = 1.0
        for name in ("Bakery", "Kiosk"):
            checked = bank.prescribed[name] == bank.basis
            allowed = int(TINY.max_error_rate * int(checked.sum()))
            passes *= float(binom.cdf(allowed, int((checked & differ).sum()), BREIDBART_ERROR))
        decisions = [
            bank.branch().decide(MerchantShop(name).request(client.cryptogram()), merchant=name)
            for name in ("Bakery", "Kiosk")
        ]
        count += all(decision.is_accepted for decision in decisions)
        expected += passes
        bound += float(lower_tail(int(differ.sum()), two_allowances(TINY), guessing_error(0.0, 0.0)))
    assert 50 < expected < SEEDS - 50
    assert abs(count - expected) < 4.5 * math.sqrt(expected)
    assert expected <= bound < 0.5 * SEEDS


def test_a_client_that_chooses_positions_is_refused_before_it_pays() -> None:
    policy = small_policy(positions=180, min_distance=0.3)
    for seed in range(40):
        found = table(policy, seed)
        client = ChoosingClient(
            policy, found.session, found.secret, found.slots, found.bit, merchants=("Bakery", "Kiosk")
        )
        with pytest.raises(RemoteProtocolError, match="differ in"):
            found.bank().take_report(client.report())


def test_without_that_refusal_it_would_pay_two_merchants() -> None:
    # The reason for the least distance: with almost none asked for, the choosing client pays both time and again.
    policy = small_policy(positions=205, min_distance=1e-6)
    both = 0
    for seed in range(20):
        found = table(policy, seed, error=0.0)
        client = ChoosingClient(
            policy, found.session, found.secret, found.slots, found.bit, merchants=("Bakery", "Kiosk")
        )
        bank = found.bank()
        try:
            bank.take_report(client.report())
        except RemoteProtocolError:
            continue
        decisions = [
            bank.branch().decide(MerchantShop(name).request(client.cryptogram()), merchant=name)
            for name in ("Bakery", "Kiosk")
        ]
        both += all(decision.is_accepted for decision in decisions)
    assert both >= 5


def test_a_report_of_which_too_much_would_be_compared_is_refused() -> None:
    policy = small_policy(positions=180, max_checked=0.501)
    found = table(policy, 4)
    matches = bases_at(found.secret, found.session, "Bakery", found.slots) == found.sent_basis
    keep = np.sort(np.argsort(~matches, kind="stable")[:180])
    client = Client(policy, found.session, found.secret, found.slots[keep], found.bit[keep])
    with pytest.raises(RemoteProtocolError, match="would have to be compared"):
        found.bank().take_report(client.report())


def test_reports_must_fit() -> None:
    found = table(POLICY, 5)
    client = client_of(found)
    report, body = client.report(), client.slots.astype("<i8")
    start = head(Kind.REPORT, found.session) + client.name
    absent = np.setdiff1d(np.arange(FIRST, FIRST + 800), found.slots)[:1]
    wrong = [
        report[:-8],
        report + b"\0",
        start + body[::-1].tobytes(),
        start + np.concatenate([absent - absent + FIRST - 1, body[1:]]).astype("<i8").tobytes(),
        start + np.sort(np.concatenate([absent, body[1:]])).astype("<i8").tobytes(),
        head(Kind.REPORT, bytes(16)) + report[20:],
        report[:20] + bytes(16) + report[36:],
    ]
    for data in wrong:
        with pytest.raises(RemoteProtocolError):
            found.bank().take_report(data)
    bank = found.bank()
    bank.take_report(report)
    with pytest.raises(RemoteProtocolError, match="second"):
        bank.take_report(report)


def test_too_few_detections_make_no_payment() -> None:
    found = table(POLICY, 6)
    with pytest.raises(NotEnoughSignalsError, match="100 detections"):
        Client(POLICY, found.session, found.secret, found.slots[:100], found.bit[:100])


def test_the_seed_depends_on_secret_session_and_merchant() -> None:
    seeds = {
        basis_seed(secret, session, merchant)
        for secret in (bytes(32), b"\1" * 32)
        for session in (bytes(16), b"\1" * 16)
        for merchant in MERCHANTS
    }
    assert len(seeds) == 12


def test_the_least_distance_is_that_of_the_closest_pair() -> None:
    rows = {"a": np.array([0, 0, 0, 0], np.uint8), "b": np.array([1, 1, 1, 1], np.uint8)}
    assert least_distance(rows) == 4
    assert least_distance({**rows, "c": np.array([1, 1, 1, 0], np.uint8)}) == 1
