"""The whole story: keys of two links, three sites, and a message between two applications whose sites share no link.

Nothing is shown that did not happen: the applications ask their sites over TLS as ETSI GS QKD 014 has it, the keys
are relayed over the site between, and the figures are read from the sites' own metrics and stores afterwards.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from faintlink.core.errors import DeliveryError
from faintlink.delivery.etsi014.client import Client014
from faintlink.delivery.hybrid import TAG_KEY_BYTES, HybridSecret, Kem, MlKemOffer, reply_to
from faintlink.delivery.hybrid_ends import Ends, OwnEnd, PinnedEnd
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.kme.provision import application_of, site_urn
from faintlink.delivery.kme.running import OpenedSite
from faintlink.delivery.network.links import DistilledLink
from faintlink.delivery.network.sites import client, make_network, running

MESSAGE = b"Meet me at the lighthouse when the tide is out."
_KEY_BITS = 256
_BATCH = 32
_NONCE_BYTES = 12
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two applications, and the connections that they have to their own sites."""

    master: str
    slave: str
    at_master: Client014
    at_slave: Client014


async def tell_story(folder: Path, links: Sequence[DistilledLink], *, say: Say) -> dict[str, Any]:
    """Run the sites of a chain of links and return what happened, in numbers.

    Parameters
    ----------
    folder
        New folder for the sites.
    links
        Each begins where the one before ends.
    say
        Is told what is happening.

    Raises
    ------
    DeliveryError
        A key was refused, or a message did not arrive as it was sent.
    """
    network = make_network(folder, links)
    first, last = links[0].between[0], links[-1].between[1]
    async with running(folder, network) as sites:
        say(f"{len(sites)} sites are up: {', '.join(sites)}; no link joins {first} and {last}")
        pins = _pinned(sites[first], sites[last])
        async with client(sites[first]) as here, client(sites[last]) as there:
            pair = Pair(application_of(first), application_of(last), here, there)
            plain = await _message(pair, say)
            hybrid = await _hybrid_message(pair, pins, say)
            seconds = await _many(pair, say)
        return {
            "messages": {"plain": plain, "hybrid": hybrid},
            "links": [_link(link) for link in links],
            "sites": {name: await _figures(site) for name, site in sites.items()},
            "batch": {"keys": _BATCH, "seconds": seconds, "keys_per_s": _BATCH / seconds},
        }


async def _message(pair: Pair, say: Say) -> dict[str, Any]:
    (key,) = await pair.at_master.new_keys(pair.slave, number=1, size=_KEY_BITS)
    nonce, sealed = _seal(key.material)
    say(f"{pair.master} sends key {key.key_id} by name and {sealed.hex()[:32]}…")
    (copy,) = await pair.at_slave.named_keys(pair.master, [key.key_id], size=_KEY_BITS)
    _require_same(_open(copy.material, nonce, sealed))
    say(f"{pair.slave} reads: {MESSAGE.decode()}")
    return {"key_id": key.key_id, "bytes": len(MESSAGE)}


@dataclass(frozen=True, slots=True)
class Pins:
    """The ends of a hybrid exchange: what each has of its own, and what it has pinned of the other."""

    own_first: OwnEnd
    own_last: OwnEnd
    of_last: PinnedEnd
    of_first: PinnedEnd


def _pinned(first: OpenedSite, last: OpenedSite) -> Pins:
    """Carry the end sites' certificates to each other, past the sites between, and load both ends."""
    own, pinned = [], []
    for here, other in ((first.site, last.site), (last.site, first.site)):
        name, listener = other.config.site, here.config.sites
        own.append(OwnEnd.load(here.folder / listener.certificate, here.folder / listener.key))
        pin = here.folder / "tls" / f"pinned-{name}.crt"
        shutil.copy(other.folder / other.config.sites.certificate, pin)
        pinned.append(PinnedEnd.load(pin, urn=site_urn(name)))
    return Pins(own[0], own[1], pinned[0], pinned[1])


async def _hybrid_message(pair: Pair, pins: Pins, say: Say) -> dict[str, Any]:
    keys = await pair.at_master.new_keys(pair.slave, number=3, size=_KEY_BITS)
    names = [key.key_id for key in keys]
    copies = await pair.at_slave.named_keys(pair.master, names, size=_KEY_BITS)
    ours, theirs = _exchange(keys[:2], copies[:2], pins)
    material, about = ours.apply(keys[2], master=pair.master, slave=pair.slave)
    nonce, sealed = _seal(material)
    other, _ = theirs.apply(copies[2], master=pair.master, slave=pair.slave)
    _require_same(_open(other, nonce, sealed))
    signers = [pins.own_first.urn, pins.own_last.urn]
    say(f"and again under a key combined with {about['faintlink_hybrid']}, signed by {' and '.join(signers)}")
    return {"key_id": names[2], "signed_by": signers, **about}


def _exchange(
    keys: Sequence[DeliveredKey], copies: Sequence[DeliveredKey], pins: Pins
) -> tuple[HybridSecret, HybridSecret]:
    names = tuple(key.key_id for key in keys)
    offer = MlKemOffer(Kem.ML_KEM_768, _joined(keys), Ends(pins.own_first, pins.of_last, names))
    reply, theirs = reply_to(offer.message, _joined(copies), Ends(pins.own_last, pins.of_first, names))
    return offer.finish(reply), theirs


def _joined(keys: Sequence[DeliveredKey]) -> bytearray:
    joined = bytearray().join(key.material for key in keys)
    wipe(*(key.material for key in keys))
    return joined[:TAG_KEY_BYTES]


async def _many(pair: Pair, say: Say) -> float:
    begin = time.perf_counter()
    keys = await pair.at_master.new_keys(pair.slave, number=_BATCH, size=_KEY_BITS)
    copies = await pair.at_slave.named_keys(pair.master, [key.key_id for key in keys], size=_KEY_BITS)
    seconds = time.perf_counter() - begin
    if [key.material for key in keys] != [copy.material for copy in copies]:
        raise DeliveryError("the two ends have different keys", hint="this must not happen: report it")
    wipe(*(key.material for key in (*keys, *copies)))
    say(f"{_BATCH} more keys reach both ends in {seconds:.2f} s")
    return seconds


def _seal(key: bytearray) -> tuple[bytes, bytes]:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, MESSAGE, None)
    wipe(key)
    return nonce, sealed


def _open(key: bytearray, nonce: bytes, sealed: bytes) -> bytes:
    opened = AESGCM(key).decrypt(nonce, sealed, None)
    wipe(key)
    return opened


def _require_same(opened: bytes) -> None:
    if opened != MESSAGE:
        raise DeliveryError("the message did not arrive as it was sent", hint="this must not happen: report it")


def _link(link: DistilledLink) -> dict[str, Any]:
    return {
        "between": list(link.between),
        "protocol": link.protocol,
        "qber": link.qber,
        "key_bits": link.key_bits,
        "key_rate_bps": link.rate_bps,
    }


async def _figures(opened: OpenedSite) -> dict[str, Any]:
    site = opened.site
    stock = await site.thread.run(site.parts.store.stock)
    reply = await site.thread.run(lambda: opened.monitor.monitoring.reply("GET", "/metrics"))
    metrics = reply.body.decode()
    return {
        "stock_bits": {f"{peer} {pool.value}": amount.bits for (peer, pool), amount in sorted(stock.items())},
        "delivered": _counted(metrics, "keys_delivered_total"),
        "relayed": _counted(metrics, "keys_relayed_total"),
        "voided": _counted(metrics, "keys_voided_total"),
    }


def _counted(metrics: str, name: str) -> int:
    lines = (line for line in metrics.splitlines() if line.startswith(f"faintlink_{name}"))
    return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines))
