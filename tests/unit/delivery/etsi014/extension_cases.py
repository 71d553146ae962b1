"""Requests to a site that offers the provenance of its keys, and what must come back."""

import base64
import json
from typing import Any

from faintlink.delivery.etsi014.service import Api014, ApiRequest
from faintlink.delivery.etsi014.settings import Api014Settings
from tests.unit.delivery.etsi014.case import (
    FOR_BOB,
    FOR_CAROL,
    MANDATORY,
    NEXT,
    NOT_FOUND,
    SECOND,
    Case,
    dec,
    enc,
    error,
    get,
    keys,
)
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of

# Typed from the standard, not imported from the program.
UNMET = "not all extension_mandatory request options could be met"
UNHANDLED = "not all extension_optional request options handled"
OFFERED = Api014Settings(extensions=("faintlink_provenance",))
ASKED = '[{"faintlink_provenance":true}]'


def offering(supply: MemorySupply) -> Api014:
    """Return the methods of a site that offers it."""
    return Api014(supply, OFFERED, origins=supply.origins)


def told(*names: str, bits: int = 256) -> bytes:
    """Return a container in which each key says where it came from."""
    entries: list[dict[str, Any]] = [
        {
            "key_ID": name,
            "key": base64.b64encode(material_of(name, bits)).decode(),
            "key_extension": {
                "faintlink_provenance": {"origin": "link", "epsilon": 2e-10, "blocks": [f"block-{name}"]}
            },
        }
        for name in names
    ]
    return json.dumps({"keys": entries}, separators=(",", ":")).encode()


def refused(message: str, kind: str) -> bytes:
    details = [{f"extension_{kind}_unmet": "faintlink_provenance can be true and nothing else"}]
    return json.dumps({"message": message, "details": details}, separators=(",", ":")).encode()


def named(extension: str, *names: str) -> str:
    entries = json.dumps([{"key_ID": name} for name in names])
    return f'{{"key_IDs":{entries},"key_IDs_extension":{extension}}}'


NOT_TRUE = error("faintlink_provenance in key_IDs_extension shall be true")
OFFERED_CASES = [
    enc("ask for provenance", f'{{"extension_mandatory":{ASKED}}}', 200, told(NEXT[0])),
    enc("ask for provenance if there is", f'{{"extension_optional":{ASKED}}}', 200, told(NEXT[0])),
    enc(
        "ask for provenance of several keys",
        f'{{"number":2,"size":512,"extension_mandatory":{ASKED}}}',
        200,
        told(*NEXT[:2], bits=512),
    ),
    enc(
        "ask for provenance in both ways",
        f'{{"extension_mandatory":{ASKED},"extension_optional":{ASKED}}}',
        200,
        told(NEXT[0]),
    ),
    enc(
        "ask for provenance beside something unknown that may be missing",
        '{"extension_optional":[{"abc_x":{"y":1},"faintlink_provenance":true},{"abc_z":null}]}',
        200,
        told(NEXT[0]),
    ),
    enc("ask for nothing more", "{}", 200, keys(NEXT[0])),
    enc("ask for something unknown that may be missing", '{"extension_optional":[{"abc_x":1}]}', 200, keys(NEXT[0])),
    enc(
        "ask for provenance and something unknown",
        '{"extension_mandatory":[{"faintlink_provenance":true,"abc_route_type":"direct"}]}',
        400,
        error(MANDATORY, "abc_route_type"),
    ),
    enc(
        "ask for an unknown one under our prefix",
        '{"extension_mandatory":[{"faintlink_hybrid":true}]}',
        400,
        error(MANDATORY, "faintlink_hybrid"),
    ),
    enc(
        "ask for it in another spelling",
        '{"extension_mandatory":[{"Faintlink_provenance":true}]}',
        400,
        error(MANDATORY, "Faintlink_provenance"),
    ),
    *(
        enc(
            f"ask for provenance as {value}",
            f'{{"extension_mandatory":[{{"faintlink_provenance":{value}}}]}}',
            400,
            refused(UNMET, "mandatory"),
        )
        for value in ("false", "null", "1", '"true"', "{}", "[true]")
    ),
    enc(
        "ask for provenance as it cannot be, if there is",
        '{"extension_optional":[{"faintlink_provenance":{"max_epsilon":1e-9}}]}',
        400,
        refused(UNHANDLED, "optional"),
    ),
    enc(
        "ask for provenance of 129 keys",
        f'{{"number":129,"extension_mandatory":{ASKED}}}',
        400,
        error("number shall be within 1 and 128"),
    ),
    get("get a key of a site that offers provenance", "/api/v1/keys/bob/enc_keys", 200, keys(NEXT[0])),
    dec("fetch with provenance", named('{"faintlink_provenance":true}', FOR_BOB, SECOND), 200, told(FOR_BOB, SECOND)),
    dec("fetch with an unknown extension", named('{"abc_x":1}', FOR_BOB), 200, keys(FOR_BOB)),
    dec(
        "fetch with provenance and an unknown one",
        named('{"abc_x":1,"faintlink_provenance":true}', FOR_BOB),
        200,
        told(FOR_BOB),
    ),
    dec("fetch without", named("{}", FOR_BOB), 200, keys(FOR_BOB)),
    dec("fetch with provenance as false", named('{"faintlink_provenance":false}', FOR_BOB), 400, NOT_TRUE),
    dec("fetch with provenance as a policy", named('{"faintlink_provenance":{}}', FOR_BOB), 400, NOT_TRUE),
    dec("fetch another's key with provenance", named('{"faintlink_provenance":true}', FOR_CAROL), 401, b""),
    dec(
        "fetch an unknown key with provenance",
        named('{"faintlink_provenance":true}', "ffffffff-ffff-4fff-bfff-ffffffffffff"),
        400,
        error(NOT_FOUND),
    ),
]

NOT_OFFERED_CASES = [
    Case(
        "ask for provenance where it is not offered",
        ApiRequest(
            "POST",
            "/api/v1/keys/bob/enc_keys",
            "",
            "alice",
            f'{{"extension_mandatory":{ASKED}}}'.encode(),
            "application/json",
        ),
        400,
        error(MANDATORY, "faintlink_provenance"),
    ),
    enc("ask where it is not offered, if there is", f'{{"extension_optional":{ASKED}}}', 200, keys(NEXT[0])),
    dec("fetch where it is not offered", named('{"faintlink_provenance":1}', FOR_BOB), 200, keys(FOR_BOB)),
]
