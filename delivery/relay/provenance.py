"""Where keys came from, as applications know them: of a split key the store has the shares only."""

import math
from collections.abc import Sequence

from faintlink.core.errors import KeyUnknownError
from faintlink.delivery.keystore.origins import KeyOrigin, Origin
from faintlink.delivery.relay.shares import share_names
from faintlink.delivery.supply import Origins


async def origins_of(ask: Origins, key_ids: Sequence[str], *, shares: int) -> list[KeyOrigin]:
    """Return the origins of keys of one request, which are all of one kind.

    Parameters
    ----------
    ask
        Tells the origins of what is in the store.
    key_ids
        As applications know them.
    shares
        Into how many relayed keys are split.

    Raises
    ------
    KeyUnknownError
        One was never here.
    """
    try:
        return await ask(key_ids)
    except KeyUnknownError:
        if shares == 1:
            raise
    found = await ask(share_names(key_ids, shares))
    return [_joined(found[at :: len(key_ids)]) for at in range(len(key_ids))]


def _joined(shares: Sequence[KeyOrigin]) -> KeyOrigin:
    # A key that differs at the two ends needs one bad share only, whatever its secrecy needs.
    return KeyOrigin(Origin.RELAYED, math.fsum(share.epsilon for share in shares), ())
