"""Keys of relay tags that a request has named and none has verified under yet: a forgery spends none of them.

`faintlink.delivery.relay.hop` checks the tag of a request with this, and nobody else does. A unit leaves the store, for
good, in the moment in which a request first names it as the key of its tag, and is kept in memory from then on. It is
gone when a request verifies under it, after `ATTEMPTS` that do not, or when the process ends: never does it come back,
so that no restart gives a forger new attempts. A forged request that comes before the honest one therefore costs that
one nothing; one that names a unit that no request has named yet costs this unit, since the other site destroys its copy
when the ledgers are compared, but no request.

**What several attempts under one key give away.** The key is (r, s), of which r takes 2**106 values and s all 2**128,
all equally likely, and at most one honest message m with its tag t is ever seen under it. Given m and t, each r leaves
one s, so that r is as likely to be any value as before. A forgery (m', t') with m' other than m passes for those r only
for which the hashes of m and m' differ by t - t': at most ``8 ceil(L / 16)`` values. One that comes before m passes
with a chance of 2**-128, s being uniform. All answers but the last are "no", so that a forger who adapts his attempts
to the answers might as well have fixed them before: by the union bound, D attempts pass with a chance of at most
``D * 8 ceil(L / 16) / 2**106``. This is counted, not hoped for: `REQUEST_EPSILON` has the greatest D.

A forger may also name as a tag's key what the honest request uses as its pad, or as the key of its answer. It is found
here then (`TagKeys.take`), so that this costs the honest request nothing either. That D attempts failed under a unit
excludes at most D of the 2**128 values of s for each r: the unit is uniform up to ``D / 2**128``, which
`REQUEST_EPSILON` has for each unit that a request may name.

Sources
-------
Bernstein, "The Poly1305-AES message-authentication code", FSE 2005, section 1 (the bound for D forgeries) and theorem
3.3 (differences of hashes); Wegman and Carter, J. Comput. Syst. Sci. 22 (1981) 265.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from faintlink.core.errors import AuthenticationError
from faintlink.delivery.keystore.model import UNIT_BYTES, UnitId
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.packet import MAX_REQUEST, MAX_UNITS
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.epsilon import forgery_bound
from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey

ATTEMPTS: Final = 2**16
"""Tags that are checked under one key at most: more than a stranger can send while a request is on its way."""
MOST_KEPT: Final = 2**14
"""Keys that are kept at most; beyond, the one that was named first is given up."""
REQUEST_EPSILON: Final = ATTEMPTS * (forgery_bound(MAX_REQUEST) + MAX_UNITS * Fraction(1, 2**128))
"""Chance, at most, that one of all the requests checked under one key is forged and passes; pad included."""


@dataclass(slots=True)
class _Kept:
    key: bytearray = field(repr=False)
    attempts: int = 0


class TagKeys:
    """The keys of one site's tags that wait for the request that is theirs. Not for several threads at once.

    Parameters
    ----------
    store
        Of the site.
    attempts
        Tags that are checked under one key.
    most
        Keys that are kept.
    """

    def __init__(self, store: KeyStore, *, attempts: int = ATTEMPTS, most: int = MOST_KEPT) -> None:
        self._store = store
        self._attempts = attempts
        self._most = most
        self._kept: dict[tuple[str, UnitId], _Kept] = {}

    def __repr__(self) -> str:
        return f"TagKeys({len(self._kept)} kept)"

    def verify(self, peer: str, unit: UnitId, parts: Iterable[bytes], tag: bytes) -> None:
        """Return if ``tag`` is that of the joined parts under the key in ``unit``, and forget the key then.

        Raises
        ------
        KeyUnknownError
            The unit is not in the stock shared with ``peer``: a request has verified under it, or it was given up.
        AuthenticationError
            The tag is another one. The key is kept, unless this was the last attempt.
        """
        kept = self._kept.get((peer, unit)) or self._keep(peer, unit)
        kept.attempts += 1
        # A copy, since whoever checks a tag with it overwrites it.
        key = OneTimeKey(bytearray(kept.key), direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, unit.number))
        is_genuine = key.check(parts, tag)
        if is_genuine or kept.attempts >= self._attempts:
            self._forget(peer, unit)
        if not is_genuine:
            raise self._refusal(peer, kept.attempts)

    def take(self, peer: str, units: Sequence[UnitId], *, use: str) -> bytearray:
        """Take units out of what is kept here and out of the store: all of them or none.

        Raises
        ------
        KeyUnknownError
            One is in neither.
        """
        stored = [unit for unit in units if (peer, unit) not in self._kept]
        if len(stored) == len(units):
            return self._store.take_named(peer, units, use=use)
        material = self._store.take_named(peer, stored, use=use) if stored else bytearray()
        places = {unit: slice(at * UNIT_BYTES, (at + 1) * UNIT_BYTES) for at, unit in enumerate(stored)}
        whole = bytearray(len(units) * UNIT_BYTES)
        for at, unit in enumerate(units):
            piece = memoryview(material)[places[unit]] if unit in places else self._kept[peer, unit].key
            whole[at * UNIT_BYTES : (at + 1) * UNIT_BYTES] = piece
        for unit in set(units).difference(stored):
            self._forget(peer, unit)
        wipe(material)
        return whole

    def wipe(self) -> None:
        """Overwrite all keys: nothing verifies under them any more."""
        wipe(*(kept.key for kept in self._kept.values()))
        self._kept.clear()

    def _keep(self, peer: str, unit: UnitId) -> _Kept:
        kept = _Kept(self._store.take_named(peer, (unit,), use=f"tag of a relay request of {peer}"))
        self._kept[peer, unit] = kept
        if len(self._kept) > self._most:
            self._forget(*next(iter(self._kept)))
        return kept

    def _forget(self, peer: str, unit: UnitId) -> None:
        wipe(self._kept.pop((peer, unit)).key)

    def _refusal(self, peer: str, attempts: int) -> AuthenticationError:
        hint = "somebody alters what passes between the sites, or their stocks differ: compare the ledgers"
        if attempts < self._attempts:
            return AuthenticationError(f"the tag of a relay request of {peer} is wrong; its key is kept", hint=hint)
        return AuthenticationError(
            f"the key of a relay request of {peer} is given up: {attempts} requests in its name had a wrong tag",
            hint=hint,
        )
