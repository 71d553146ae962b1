"""Applications are told of split keys what their shares come to."""

import asyncio
from collections.abc import Sequence

import pytest

from faintlink.core.errors import KeyUnknownError
from faintlink.delivery.keystore.origins import KeyOrigin, Origin
from faintlink.delivery.relay.provenance import origins_of
from faintlink.delivery.relay.shares import share_names

LINK = KeyOrigin(Origin.LINK, 1e-10, ("block",))
NAMES = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]


def site(known: dict[str, KeyOrigin], key_ids: Sequence[str], shares: int) -> list[KeyOrigin]:
    async def ask(key_ids: Sequence[str]) -> list[KeyOrigin]:
        if missing := [name for name in key_ids if name not in known]:
            raise KeyUnknownError(f"no key {missing[0]}")
        return [known[name] for name in key_ids]

    return asyncio.run(origins_of(ask, key_ids, shares=shares))


def test_the_epsilons_of_a_keys_shares_add_up_and_those_of_other_keys_do_not() -> None:
    parts = share_names(NAMES, 2)
    known = {name: KeyOrigin(Origin.RELAYED, 2.0**-number, ()) for number, name in enumerate(parts, 30)}
    expected = [
        KeyOrigin(Origin.RELAYED, 2.0**-30 + 2.0**-32, ()),
        KeyOrigin(Origin.RELAYED, 2.0**-31 + 2.0**-33, ()),
    ]
    assert site(known, NAMES, 2) == expected
    assert site(known, NAMES[::-1], 2) == expected[::-1]


def test_keys_of_a_link_are_what_they_are_at_a_site_that_splits_relayed_ones() -> None:
    assert site({NAMES[0]: LINK}, NAMES[:1], 2) == [LINK]


@pytest.mark.parametrize("shares", [1, 2])
def test_keys_that_were_never_here_are_refused(shares: int) -> None:
    with pytest.raises(KeyUnknownError):
        site({NAMES[0]: LINK}, NAMES, shares)
