"""Hand out the slave's copies of keys, by name, to the application that they were promised to.

Three steps, so that the store is free while the witness writes: `ready` refuses what cannot be fetched, `facts` are
noted, and `hand_out` takes the keys out of the store. Between them nobody else may fetch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from faintlink.core.errors import AccessDeniedError, DeliveryError, KeyUnknownError
from faintlink.delivery.keystore.model import DeliveredKey, KeyState, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.witness import Event, Fact


@dataclass(slots=True)
class Fetch:
    """One application's request for keys by name, and what became of it."""

    slave: str
    """The application that asks, at this site."""
    master: str
    """The one that has the keys' names from the other site."""
    key_ids: Sequence[str]
    """Without repetition."""
    keys: list[DeliveredKey] = field(default_factory=list)
    failure: DeliveryError | None = None


def ready(store: KeyStore, requests: Sequence[Fetch]) -> list[Fetch]:
    """Return the requests that can be fulfilled; the others have their failure."""
    good, names = [], set[str]()
    for request in requests:
        try:
            _check(store, request, names)
        except DeliveryError as error:
            request.failure = error
        else:
            names.update(request.key_ids)
            good.append(request)
    return good


def _check(store: KeyStore, request: Fetch, taken: set[str]) -> None:
    for key_id in request.key_ids:
        record = store.record(key_id)
        if (record.role, record.assignment.master, record.assignment.slave) != (
            Role.SLAVE,
            request.master,
            request.slave,
        ):
            raise AccessDeniedError(
                f"key {key_id} was not promised to {request.slave} by {request.master}",
                hint="ask with the name of the application that the key's name came from",
            )
        if record.state is not KeyState.READY or key_id in taken:
            raise KeyUnknownError(f"key {key_id} is {record.state.value} or asked for twice", hint="each is given once")


def facts(requests: Sequence[Fetch]) -> list[Fact]:
    """Return what is to be noted before these requests are fulfilled."""
    return [
        Fact(Event.KEYS_DELIVERED, slave, {"role": Role.SLAVE.value, "key_ids": _names(group)})
        for slave, group in _by_slave(requests).items()
    ]


def hand_out(store: KeyStore, requests: Sequence[Fetch]) -> None:
    """Fulfil requests, each whole or not at all, with one commit per application where nothing came in between."""
    for slave, group in _by_slave(requests).items():
        if not _delivered(store, slave, group):
            for request in group:
                _delivered(store, slave, [request])


def _by_slave(requests: Sequence[Fetch]) -> dict[str, list[Fetch]]:
    groups: dict[str, list[Fetch]] = {}
    for request in requests:
        groups.setdefault(request.slave, []).append(request)
    return groups


def _names(group: Sequence[Fetch]) -> list[str]:
    return [key_id for request in group for key_id in request.key_ids]


def _delivered(store: KeyStore, slave: str, group: Sequence[Fetch]) -> bool:
    try:
        keys = iter(store.deliver(_names(group), role=Role.SLAVE, sae=slave))
    except DeliveryError as error:
        for request in group:
            request.failure = error
        return False
    for request in group:
        request.failure = None
        request.keys = [next(keys) for _ in request.key_ids]
    return True
