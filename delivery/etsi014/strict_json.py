"""JSON that can be read in one way only (RFC 8259): no member twice, nothing behind the value, numbers that exist.

Two readers that take different ones of two equal members would act on two different requests.
"""

import json
from typing import Any

from faintlink.core.errors import RemoteProtocolError

_SHOWN = 64
"""Characters of a stranger's word that are repeated to it."""


def parse(data: bytes | bytearray) -> Any:
    """Return the value that UTF-8 bytes hold.

    Raises
    ------
    RemoteProtocolError
        They are not UTF-8, not JSON, hold a member twice, or are nested too deep. What they hold is not repeated.
    """
    try:
        return json.loads(str(data, "utf-8"), object_pairs_hook=_members, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise RemoteProtocolError("the body is not UTF-8") from None
    except RecursionError:
        raise RemoteProtocolError("the body is nested too deep") from None
    except json.JSONDecodeError as error:
        raise RemoteProtocolError(f"the body is not JSON: fault at character {error.pos}") from None
    except ValueError:
        # Python refuses whole numbers of thousands of digits.
        raise RemoteProtocolError("the body holds a number that is too long") from None


def shown(word: str) -> str:
    """Return as much of a stranger's word as may stand in a message."""
    return word if len(word) <= _SHOWN else f"{word[:_SHOWN]}..."


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RemoteProtocolError(f"member {shown(twice)} stands twice")
    return members


def _no_constant(name: str) -> None:
    raise RemoteProtocolError(f"{name} is not a number of JSON")
