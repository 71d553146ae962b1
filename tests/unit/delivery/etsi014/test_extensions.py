"""What a site tells of its keys' origin to those who ask, and that nobody gets half of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import FaintlinkError, KeyUnknownError, RemoteProtocolError, StoreError
from faintlink.delivery.etsi014.exchange import Reply, read_named_keys, read_origins
from faintlink.delivery.etsi014.extensions import key_extension, wanted_by_master
from faintlink.delivery.etsi014.messages import encode_keys
from faintlink.delivery.etsi014.service import Api014, ApiRequest, ApiResponse
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, MASTER, SLAVE, THERE, new_block, reserve
from faintlink.delivery.keystore.model import Assignment, Block, DeliveredKey, Role
from faintlink.delivery.keystore.origins import DEVICE_SOURCE, KeyOrigin, Origin
from tests.unit.delivery.etsi014.case import FOR_BOB, SECOND, Case, supply_of_cases
from tests.unit.delivery.etsi014.extension_cases import (
    ASKED,
    NOT_OFFERED_CASES,
    OFFERED,
    OFFERED_CASES,
    named,
    offering,
)
from tests.unit.delivery.etsi014.fakes import MemorySupply
from tests.unit.delivery.etsi014.schema import validator
from tests.unit.delivery.keystore.stores import open_sqlite

ENC = "/api/v1/keys/bob/enc_keys"
DEC = "/api/v1/keys/alice/dec_keys"


def ask(api: Api014, request: ApiRequest) -> ApiResponse:
    return asyncio.run(api.answer(request))


def post(path: str, caller: str, body: str) -> ApiRequest:
    return ApiRequest("POST", path, "", caller, body.encode(), "application/json")


@pytest.mark.parametrize("case", OFFERED_CASES, ids=lambda case: case.name)
def test_a_site_that_offers_provenance_answers_by_the_standard(case: Case) -> None:
    supply = supply_of_cases()
    before = dict(supply.promised), supply.stored
    answer = ask(offering(supply), case.request)
    assert (answer.status, bytes(answer.body)) == (case.status, case.body)
    assert case.status == 200 or (supply.promised, supply.stored, supply.handed_out) == (*before, [])
    if case.status == 200:
        validator("KeyContainer").validate(json.loads(case.body))


@pytest.mark.parametrize("case", NOT_OFFERED_CASES, ids=lambda case: case.name)
def test_a_site_that_does_not_offer_it_answers_as_to_any_other(case: Case) -> None:
    answer = ask(Api014(supply_of_cases()), case.request)
    assert (answer.status, bytes(answer.body)) == (case.status, case.body)


@pytest.mark.parametrize("fault", [StoreError("the database is gone"), KeyUnknownError("no such key")])
def test_keys_whose_origin_cannot_be_told_are_not_handed_out_without_it(fault: FaintlinkError) -> None:
    supply = supply_of_cases()
    supply.fault_of_origins = fault
    made = ask(offering(supply), post(ENC, "alice", f'{{"extension_mandatory":{ASKED}}}'))
    assert (made.status, bytes(made.body)) == (503, b'{"message":"key data access error"}')
    assert [bytes(key.material) for key in supply.handed_out] == [bytes(32)]
    fetched = ask(offering(supply), post(DEC, "bob", named('{"faintlink_provenance":true}', FOR_BOB)))
    assert fetched.status == (400 if isinstance(fault, KeyUnknownError) else 503)
    assert FOR_BOB in supply.promised
    assert len(supply.handed_out) == 1


def test_a_site_without_a_memory_of_origins_refuses_what_it_is_said_to_offer() -> None:
    supply = supply_of_cases()
    api = Api014(supply, OFFERED)
    assert ask(api, post(ENC, "alice", f'{{"extension_mandatory":{ASKED}}}')).status == 503
    assert ask(api, post(ENC, "alice", "{}")).status == 200


def test_clients_that_know_nothing_of_extensions_read_the_keys_all_the_same() -> None:
    answer = ask(offering(supply_of_cases()), post(DEC, "bob", named('{"faintlink_provenance":true}', FOR_BOB)))
    (key,) = read_named_keys(Reply(200, bytes(answer.body)), key_ids=[FOR_BOB], size=256)
    assert key.key_id == FOR_BOB


@pytest.mark.parametrize(
    "extension",
    [
        None,
        {},
        {"faintlink_provenance": None},
        {"faintlink_provenance": {"origin": "link"}},
        {"faintlink_provenance": {"origin": "link", "epsilon": True}},
        {"faintlink_provenance": {"origin": "link", "epsilon": -1e-10}},
        {"faintlink_provenance": {"origin": "link", "epsilon": 2}},
        {"faintlink_provenance": {"origin": "moon", "epsilon": 1e-10}},
        {"faintlink_provenance": {"origin": ["link"], "epsilon": 1e-10}},
        {"faintlink_provenance": {"origin": "link", "epsilon": 1e-10, "blocks": [1]}},
        {"faintlink_provenance": {"origin": "link", "epsilon": 1e-10, "blocks": "b"}},
    ],
    ids=str,
)
def test_an_answer_that_does_not_tell_the_origin_of_each_key_is_void_and_its_keys_are_overwritten(
    extension: dict[str, Any] | None,
) -> None:
    entries = json.loads(encode_keys([DeliveredKey(name, 256, bytearray(32)) for name in (FOR_BOB, SECOND)]))["keys"]
    entries[0]["key_extension"] = {"faintlink_provenance": {"origin": "link", "epsilon": 1e-10}, "abc_x": 1}
    if extension is not None:
        entries[1]["key_extension"] = extension
    keys = [DeliveredKey(name, 256, bytearray(b"k" * 32)) for name in (FOR_BOB, SECOND)]
    with pytest.raises(RemoteProtocolError, match="the foreign KME sent a key") as caught:
        read_origins(Reply(200, json.dumps({"keys": entries}).encode()), keys)
    assert "policy" in caught.value.hint
    assert all(bytes(key.material) == bytes(32) for key in keys)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON_VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
OBJECTS = st.lists(
    st.dictionaries(st.sampled_from(["faintlink_provenance", "abc_x", "", "faintlink_"]), JSON_VALUES, max_size=3),
    max_size=3,
)


@given(OBJECTS, OBJECTS)
def test_every_list_of_extensions_is_refused_or_understood(
    mandatory: list[dict[str, Any]], optional: list[dict[str, Any]]
) -> None:
    values = [one["faintlink_provenance"] for one in [*mandatory, *optional] if "faintlink_provenance" in one]
    is_known = all(set(one) == {"faintlink_provenance"} for one in mandatory)
    try:
        wanted = wanted_by_master(mandatory, optional, OFFERED.extensions)
    except RemoteProtocolError:
        assert not is_known or any(value is not True for value in values)
    else:
        assert is_known
        assert all(value is True for value in values)
        assert wanted == bool(values)


ORIGINS = st.builds(
    KeyOrigin,
    st.sampled_from(Origin),
    st.floats(0, 1, allow_nan=False),
    st.lists(st.text(max_size=40), max_size=3).map(tuple),
)


@given(st.lists(st.tuples(st.binary(max_size=40), ORIGINS), max_size=4))
def test_a_container_with_extensions_is_what_a_json_writer_makes(parts: list[tuple[bytes, KeyOrigin]]) -> None:
    keys = [DeliveredKey(f"key-{at}", 8 * len(data), bytearray(data)) for at, (data, _) in enumerate(parts)]
    body = encode_keys(keys, [key_extension(origin) for _, origin in parts])
    read = json.loads(body)
    assert json.dumps(read, separators=(",", ":")).encode() == body
    for entry, (_, origin) in zip(read["keys"], parts, strict=True):
        about = entry["key_extension"]["faintlink_provenance"]
        assert (about["origin"], about["epsilon"]) == (origin.origin, origin.epsilon)
        assert tuple(about.get("blocks", ())) == origin.blocks


def test_both_sites_tell_the_same_of_keys_of_many_blocks(tmp_path: Path) -> None:
    # 0.1 + 0.2 + 0.3 depends on the order of the terms where each step is rounded.
    blocks = [
        Block(new_block(3, seed=seed).block_id, new_block(3, seed=seed).material, epsilon * 1e-10)
        for seed, epsilon in enumerate((0.1, 0.2, 0.3))
    ]
    with open_sqlite(tmp_path, HERE) as here, open_sqlite(tmp_path, THERE) as there:
        for store, peer, order in ((here, THERE, blocks), (there, HERE, blocks[::-1])):
            for block in order:
                store.ingest(peer, block, NO_RESERVE)
        keys = here.reserve(THERE, [("key-1", 256), ("key-2", 512)], master=MASTER, slave=SLAVE)
        there.assign(HERE, keys)
        names = [key.key_id for key in keys]
        found = here.origins(names)
        assert found == there.origins(names)
        assert here.origins(names[::-1]) == found[::-1]
        here.acknowledge(names)
        here.deliver(names, role=Role.MASTER, sae=MASTER)
        assert here.origins(names) == found
    assert [one.origin for one in found] == [Origin.LINK, Origin.LINK]
    assert found[1].blocks == tuple(dict.fromkeys(unit.block for unit in keys[1].units))
    assert len(found[1].blocks) == 2


@pytest.mark.parametrize(
    ("provenances", "origin"),
    [
        ([{"usable": "True"}], Origin.LINK),
        ([{"usable": "False"}], Origin.TEST),
        ([{"source": DEVICE_SOURCE}], Origin.DEVICE),
        ([{"usable": "True"}, {"source": DEVICE_SOURCE}], Origin.DEVICE),
        ([{"usable": "False"}, {"source": DEVICE_SOURCE}], Origin.TEST),
    ],
)
def test_a_key_is_said_to_be_what_the_least_of_its_blocks_is(
    tmp_path: Path, provenances: list[dict[str, str]], origin: Origin
) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        for seed, provenance in enumerate(provenances):
            made = new_block(2, seed=seed)
            store.ingest(THERE, Block(made.block_id, made.material, 1e-10, provenance), NO_RESERVE)
        (key,) = reserve(store, 256 * len(provenances))
        assert [one.origin for one in store.origins([key.key_id])] == [origin]


def test_a_relayed_key_names_no_blocks_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        key = Assignment("key-1", 256, MASTER, SLAVE, ())
        store.place(THERE, [(key, bytes(32))], role=Role.MASTER, epsilon=3e-10, blocks=["of-the-first-hop"])
        assert store.origins(["key-1"]) == [KeyOrigin(Origin.RELAYED, 3e-10, ())]
        with pytest.raises(KeyUnknownError, match="key-2"):
            store.origins(["key-1", "key-2"])


NO_RESERVE = CUT.__class__(CUT.first_site, 50, 0)


def test_the_fake_supply_knows_origins_of_its_own_keys_only() -> None:
    with pytest.raises(KeyUnknownError):
        asyncio.run(MemorySupply().origins(["nothing"]))
