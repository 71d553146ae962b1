"""Bytes of answers, limits, and rates."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.etsi014.messages import base64_into, base64_size, encode_keys
from faintlink.delivery.etsi014.rates import Bucket, RateLimiter
from faintlink.delivery.etsi014.settings import Api014Settings, RateSettings
from faintlink.delivery.etsi014.strict_json import parse
from faintlink.delivery.etsi014.targets import Method, Target, find_target, parameters, sae_id
from faintlink.delivery.keystore.model import DeliveredKey
from tests.unit.delivery.etsi014.fakes import name_of

# RFC 4648, section 10.
VECTORS = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]


@pytest.mark.parametrize("text", VECTORS)
def test_base64_is_that_of_the_vectors(text: str) -> None:
    source = b"foobar"[: VECTORS.index(text)]
    target = bytearray(len(text))
    assert (base64_into(target, 0, source), target.decode()) == (len(text), text)


@given(st.binary(max_size=200), st.integers(0, 5))
def test_base64_is_that_of_the_library(source: bytes, at: int) -> None:
    target = bytearray(b"#" * (at + base64_size(len(source)) + 1))
    end = base64_into(target, at, bytearray(source))
    assert target == b"#" * at + base64.b64encode(source) + b"#"
    assert end == len(target) - 1


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_a_container_is_what_a_json_writer_makes(materials: list[bytes]) -> None:
    keys = [DeliveredKey(name_of(at), 8 * len(data), bytearray(data)) for at, data in enumerate(materials)]
    expected = [{"key_ID": name_of(at), "key": base64.b64encode(data).decode()} for at, data in enumerate(materials)]
    assert encode_keys(keys) == json.dumps({"keys": expected}, separators=(",", ":")).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
@settings(max_examples=50)
def test_json_that_is_right_is_read_as_the_library_does(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize("text", ['{"a":{"b":1,"b":1}}', '[{"a":1,"\\u0061":2}]'])
def test_a_member_that_stands_twice_is_refused_at_any_depth_and_in_any_writing(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="stands twice"):
        parse(text.encode())


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/keys/bob/status", Target(Method.STATUS, "bob")),
        ("/api/v1/keys/a%2Fb/enc_keys", Target(Method.ENC_KEYS, "a%2Fb")),
        ("/api/v1/keys/status", None),
        ("/api/v1/keys/x/status/enc_keys", None),
        ("/api/v1/keys//enc_keys", None),
        ("/API/v1/keys/x/enc_keys", None),
        ("api/v1/keys/x/enc_keys", None),
        ("", None),
    ],
)
def test_a_path_names_a_method_or_nothing(path: str, target: Target | None) -> None:
    assert find_target(path) == target


@given(st.text(st.sampled_from("abzAZ059._~:/?#[]@!$&'()*+,;=-"), min_size=1, max_size=64))
def test_every_name_of_a_uri_comes_back_out_of_a_url(name: str) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in name)
    assert sae_id(encoded, max_length=64) == name


def test_a_plus_sign_is_itself_in_a_path_and_a_blank_in_a_query() -> None:
    assert sae_id("a+b", max_length=64) == "a+b"
    assert parameters("number=1+2", allowed=("number",)) == {"number": "1 2"}


def test_a_bucket_fills_at_its_rate_up_to_its_burst() -> None:
    bucket = Bucket(rate_per_s=2.0, burst=4.0, level=4.0, at_s=0.0)
    assert bucket.take(4, 0.0) == 0.0
    assert bucket.take(1, 0.0) == pytest.approx(0.5)
    assert bucket.take(1, 0.5) == 0.0
    assert [bucket.take(4, 1000.0), bucket.take(1, 1000.0)] == [0.0, pytest.approx(0.5)]


def test_a_clock_that_runs_back_fills_nothing() -> None:
    bucket = Bucket(rate_per_s=1.0, burst=1.0, level=0.0, at_s=10.0)
    assert bucket.take(1, 5.0) == pytest.approx(1.0)
    assert bucket.take(1, 5.5) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=50))
def test_nobody_ever_gets_more_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    now_s, got, clock = 0.0, 0, [0.0]
    limiter = RateLimiter(RateSettings(keys_per_s=1.5, key_burst=7), clock=lambda: clock[0])
    for pause_s, number in steps:
        now_s += pause_s
        clock[0] = now_s
        got += number if limiter.keys_wait_s("alice", number) == 0.0 else 0
        assert got <= 7 + 1.5 * now_s + 1e-6


@pytest.mark.parametrize(
    "members",
    [
        {"key_size": 257},
        {"min_key_size": 512},
        {"max_key_size": 128},
        {"max_key_per_request": 0},
        {"max_key_per_request": 1025},
        {"max_key_count": 2**31},
        {"key_size": True},
        {"key_sizes": 256},
        {"rate": RateSettings(key_burst=100)},
    ],
)
def test_settings_that_no_application_could_live_with_are_refused(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Api014Settings.model_validate(members)
