"""ETSI GS QKD 014 without sockets: a request in, an answer out, all rules of the standard in between.

The web shell (`faintlink.delivery.etsi014.web`) authenticates the caller by its certificate and hands over the request
as it came; nothing here opens a connection, and nothing of a key outlives the answer but its body, which the shell
overwrites once it is sent.

What the standard leaves open is settled so: keys that run out are 503, a request that is too long 413, a verb that a
method does not have 405, a path that is none of the API's 404, and too many requests 503 with ``Retry-After``.

Sources
-------
ETSI GS QKD 014 V1.1.1 clauses 5 and 6.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from faintlink.core.errors import (
    AccessDeniedError,
    DeliveryError,
    KeyExhaustedError,
    KeyUnknownError,
    PeerUnavailableError,
    ProtocolError,
    RemoteProtocolError,
    StoreError,
)
from faintlink.delivery.etsi014.extensions import key_extension
from faintlink.delivery.etsi014.messages import (
    KEYS_NOT_FOUND,
    KeyNames,
    KeyRequest,
    encode_error,
    encode_keys,
    encode_status,
    key_id,
    key_names,
    key_request,
    key_request_of_query,
)
from faintlink.delivery.etsi014.rates import RateLimiter
from faintlink.delivery.etsi014.settings import Api014Settings
from faintlink.delivery.etsi014.targets import Method, Target, find_target, parameters, sae_id
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.supply import KeySupply, Origins

logger = logging.getLogger(__name__)

JSON = "application/json"
UNKNOWN_SLAVE = "slave_SAE_ID is not known to this KME"
INSUFFICIENT = "insufficient key material"
PEER_UNAVAILABLE = "the peer KME is not available"
DATA_ACCESS = "key data access error"
TOO_MANY = "too many requests"
_CURL = "application/x-www-form-urlencoded"
"""What curl, and the C wrapper through it, calls a body unless it is told what it is."""
_NO_KEY = (DeliveryError, ProtocolError)
NO_STORE = MappingProxyType({"Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request as it came over the wire."""

    method: str
    path: str
    """Still encoded, without the query."""
    query: str
    """Still encoded, without the question mark."""
    caller: str | None
    """Name of the application that the certificate proves, or None if it is none of the site's."""
    body: bytes = field(default=b"", repr=False)
    """Up to one byte more than ``max_body_bytes`` is enough to have it refused."""
    content_type: str | None = None
    content_encoding: str | None = None


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An answer."""

    status: int
    body: bytes | bytearray = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_STORE)

    @property
    def content_type(self) -> str | None:
        """Media type of the body, or None where there is none."""
        return JSON if self.body else None

    def wipe(self) -> None:
        """Overwrite keys in the body; to be called once it is sent or given up."""
        if isinstance(self.body, bytearray):
            self.body[:] = bytes(len(self.body))


class Api014:
    """The three methods over a `KeySupply`.

    Parameters
    ----------
    supply
        Where keys come from.
    settings
        What is offered.
    origins
        Tells where keys came from; without it no extension can be offered.
    clock
        For the limits on how fast an application may ask.
    """

    def __init__(
        self,
        supply: KeySupply,
        settings: Api014Settings | None = None,
        *,
        origins: Origins | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supply = supply
        self._origins = origins
        self.settings = settings or Api014Settings()
        self._limiter = RateLimiter(self.settings.rate, clock=clock)

    async def answer(self, request: ApiRequest) -> ApiResponse:
        """Answer one request; what an application can do wrong does not raise."""
        # Clause 5.1: every request is authenticated. A stranger does not even learn which paths there are.
        if request.caller is None:
            return ApiResponse(401)
        target = find_target(request.path)
        if target is None:
            return ApiResponse(404)
        if request.method not in target.method.verbs:
            return ApiResponse(405, headers={**NO_STORE, "Allow": ", ".join(target.method.verbs)})
        if len(request.body) > self.settings.max_body_bytes:
            return _error(413, f"a request shall have at most {self.settings.max_body_bytes} bytes")
        wait_s = self._limiter.request_wait_s(request.caller)
        if wait_s:
            return _slow_down(request.caller, wait_s)
        try:
            return await self._answer_to(request, request.caller, target)
        except RemoteProtocolError as error:
            return _error(400, error.message, error.fields.get("details", ()))

    async def _answer_to(self, request: ApiRequest, caller: str, target: Target) -> ApiResponse:
        other = sae_id(target.encoded_sae, max_length=self.settings.max_sae_id_length)
        _check_form(request)
        if target.method is Method.STATUS:
            parameters(request.query, allowed=())
            return await self._status(caller, other)
        if target.method is Method.ENC_KEYS:
            return await self._enc_keys(caller, other, self._key_request(request))
        return await self._dec_keys(caller, other, self._key_names(request))

    def _key_request(self, request: ApiRequest) -> KeyRequest:
        if request.method == "GET":
            given = parameters(request.query, allowed=("number", "size"))
            return key_request_of_query(given, self.settings)
        parameters(request.query, allowed=())
        return key_request(request.body, self.settings)

    def _key_names(self, request: ApiRequest) -> KeyNames:
        if request.method == "POST":
            parameters(request.query, allowed=())
            return key_names(request.body, self.settings)
        given = parameters(request.query, allowed=("key_ID",))
        if "key_ID" not in given:
            raise RemoteProtocolError("key_ID is missing")
        return KeyNames((key_id(given["key_ID"]),))

    async def _status(self, caller: str, other: str) -> ApiResponse:
        try:
            status = await self._supply.status(caller=caller, other=other)
        except KeyUnknownError:
            return _error(400, UNKNOWN_SLAVE)
        except _NO_KEY as error:
            return _refusal(caller, error)
        return ApiResponse(200, encode_status(status, self.settings, master=caller, slave=other))

    async def _enc_keys(self, master: str, slave: str, asked: KeyRequest) -> ApiResponse:
        wait_s = self._limiter.keys_wait_s(master, asked.number)
        if wait_s:
            return _slow_down(master, wait_s)
        try:
            keys = await self._supply.new_keys(master=master, slave=slave, number=asked.number, bits=asked.size)
        except KeyUnknownError:
            return _error(400, UNKNOWN_SLAVE)
        except _NO_KEY as error:
            return _refusal(master, error)
        with _wiped(keys):
            try:
                told = await self._told([key.key_id for key in keys]) if asked.wants_provenance else ()
            except _NO_KEY as error:
                # Without what was asked for there is no key either; these are burnt.
                return _refusal(master, error)
            return ApiResponse(200, encode_keys(keys, told))

    async def _dec_keys(self, slave: str, master: str, asked: KeyNames) -> ApiResponse:
        try:
            # Beforehand: a store that cannot tell must not have given.
            told = await self._told(asked.key_ids) if asked.wants_provenance else ()
            keys = await self._supply.keys_by_name(slave=slave, master=master, key_ids=asked.key_ids)
        except KeyUnknownError:
            return _error(400, KEYS_NOT_FOUND)
        except _NO_KEY as error:
            return _refusal(slave, error)
        with _wiped(keys):
            return ApiResponse(200, encode_keys(keys, told))

    async def _told(self, key_ids: Sequence[str]) -> list[bytes]:
        if self._origins is None:
            raise StoreError("this site does not know where its keys came from", hint="take the extension off `api`")
        return [key_extension(origin) for origin in await self._origins(key_ids)]


def is_packed(content_encoding: str | None) -> bool:
    """Return whether a body would have to be unpacked, which is refused: it might swell."""
    return (content_encoding or "identity").strip().lower() != "identity"


def _check_form(request: ApiRequest) -> None:
    if is_packed(request.content_encoding):
        raise RemoteProtocolError("an encoded body is not supported")
    if not request.body:
        return
    if request.method == "GET":
        raise RemoteProtocolError("a GET request has no body")
    media_type = (request.content_type or JSON).partition(";")[0].strip().lower()
    if media_type not in (JSON, _CURL):
        raise RemoteProtocolError(f"the body shall be {JSON}")


@contextmanager
def _wiped(keys: Sequence[DeliveredKey]) -> Iterator[None]:
    """Overwrite keys when the block is done with them."""
    try:
        yield
    finally:
        for key in keys:
            key.material[:] = bytes(len(key.material))


def _refusal(caller: str, error: DeliveryError | ProtocolError) -> ApiResponse:
    # The application learns that there is no key, and whether waiting helps; why is the operator's business.
    logger.warning("no key for %r: %s: %s", caller, type(error).__name__, error.message)
    if isinstance(error, AccessDeniedError):
        return ApiResponse(401)
    if isinstance(error, KeyExhaustedError):
        return _error(503, INSUFFICIENT)
    return _error(503, PEER_UNAVAILABLE if isinstance(error, PeerUnavailableError) else DATA_ACCESS)


def _slow_down(caller: str, wait_s: float) -> ApiResponse:
    logger.info("%r asks too fast: %.1f s too early", caller, wait_s)
    return ApiResponse(503, encode_error(TOO_MANY), headers={**NO_STORE, "Retry-After": str(max(1, math.ceil(wait_s)))})


def _error(status: int, message: str, details: Sequence[Mapping[str, str]] = ()) -> ApiResponse:
    return ApiResponse(status, encode_error(message, details))
