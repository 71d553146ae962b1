"""Requests and what must come back, to the byte; shared by the table-driven tests and the check of the OpenAPI file.

Messages in the constants are the words of ETSI GS QKD 014 V1.1.1 (clauses 5 and 6); what else stands here is this
program's answer to what the standard leaves open.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from faintlink.delivery.etsi014.service import ApiRequest
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of, name_of

# Typed from the standard, not imported from the program.
MULTIPLE = "size shall be a multiple of 8"
MANDATORY = "not all extension_mandatory parameters are supported"
NOT_FOUND = "one or more keys specified are not found on KME"

FOR_BOB, FOR_CAROL, FROM_CAROL, DELIVERED, SECOND = (name_of(number) for number in range(1, 6))
ABSENT = "ffffffff-ffff-4fff-bfff-ffffffffffff"
NEXT = (name_of(6), name_of(7), name_of(8))


def supply_of_cases() -> MemorySupply:
    """Return a supply in which alice has promised two keys to bob, one to carol, and carol one to bob."""
    supply = MemorySupply()
    for master, slave in (("alice", "bob"), ("alice", "carol"), ("carol", "bob"), ("alice", "bob"), ("alice", "bob")):
        supply.promise(master, slave)
    del supply.promised[DELIVERED]
    return supply


@dataclass(frozen=True, slots=True)
class Case:
    """One request and its answer."""

    name: str
    request: ApiRequest
    status: int
    body: bytes


def keys(*names: str, bits: int = 256) -> bytes:
    entries = [{"key_ID": name, "key": base64.b64encode(material_of(name, bits)).decode()} for name in names]
    return json.dumps({"keys": entries}, separators=(",", ":")).encode()


def error(message: str, *details: str) -> bytes:
    value: dict[str, Any] = {"message": message}
    if details:
        value["details"] = [{"extension_mandatory_unsupported": f"{name} is not supported"} for name in details]
    return json.dumps(value, separators=(",", ":")).encode()


def get(name: str, target: str, status: int, body: bytes, *, caller: str | None = "alice", verb: str = "GET") -> Case:
    path, _, query = target.partition("?")
    return Case(name, ApiRequest(verb, path, query, caller), status, body)


def enc(
    name: str,
    body: bytes | str,
    status: int,
    answer: bytes,
    *,
    kind: str | None = "application/json",
    slave: str = "bob",
    query: str = "",
) -> Case:
    data = body.encode() if isinstance(body, str) else body
    request = ApiRequest("POST", f"/api/v1/keys/{slave}/enc_keys", query, "alice", data, kind)
    return Case(name, request, status, answer)


def dec(name: str, body: bytes | str, status: int, answer: bytes, *, caller: str | None = "bob") -> Case:
    data = body.encode() if isinstance(body, str) else body
    return Case(
        name, ApiRequest("POST", "/api/v1/keys/alice/dec_keys", "", caller, data, "application/json"), status, answer
    )


def ids(*names: str) -> str:
    return json.dumps({"key_IDs": [{"key_ID": name} for name in names]})


STATUS = (
    b'{"source_KME_ID":"kme-a","target_KME_ID":"kme-b","master_SAE_ID":"alice","slave_SAE_ID":"bob",'
    b'"key_size":256,"stored_key_count":25000,"max_key_count":100000,"max_key_per_request":128,'
    b'"max_key_size":1024,"min_key_size":64,"max_SAE_ID_count":0}'
)
BOB = "/api/v1/keys/bob"
ALICE = "/api/v1/keys/alice"
NUMBER_RANGE = error("number shall be within 1 and 128")
SIZE_RANGE = error("size shall be within 64 and 1024")
UNKNOWN_SLAVE = error("slave_SAE_ID is not known to this KME")
ONLY_NUMBER_AND_SIZE = error("only number and size may stand in the URL; anything else takes POST")
DUPLICATE = error("key_IDs shall name each key once")
UUID = error("key_ID shall be a UUID")
BAD_NAME = error("an SAE ID shall have 1 to 64 characters of a URI")
NO_PARAMETERS = error("no parameters are allowed in the URL")
