"""Which streams and texts each party's file of a run gets, from the link and its station. Used by a `Run`."""

import secrets
from collections.abc import Mapping
from typing import Any

from faintlink.acquisition.preflight import Station
from faintlink.acquisition.writer_plan import PartyPlan
from faintlink.core.config.link import LinkConfig
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party

TAGS, SETTINGS = "tags", "settings"
"""Names of the streams."""


def draw_squash_seeds(link: LinkConfig) -> dict[Party, bytes]:
    """Return a fresh secret for each receiver, with which it settles slots with several clicks."""
    return {party: secrets.token_bytes(32) for party in link.receivers}


def party_plans(
    link: LinkConfig, station: Station, context: Mapping[str, str], squash_seeds: Mapping[Party, bytes]
) -> tuple[PartyPlan, ...]:
    """Return what is written for each party; only a receiver's own file holds its squash seed."""
    plans = []
    for party, receiver in link.receivers.items():
        spec = _tagger_spec(station.component(receiver.tagger), receiver.tagger)
        plans.append(PartyPlan(party, (spec,), {**context, "squash_seed": squash_seeds[party].hex()}))
    if link.source is not None:
        spec = StreamSpec(SETTINGS, "settings", instrument=link.roles["sender"])
        plans.append(PartyPlan(Party.ALICE, (spec,), context))
    return tuple(plans)


def _tagger_spec(tagger: Any, name: str) -> StreamSpec:
    clock = getattr(tagger, "clock_reference", None)
    identify = getattr(tagger, "get_idn", None)
    serial = (identify() or {}).get("serial") if identify is not None else None
    return StreamSpec(
        TAGS,
        "tags",
        instrument=name,
        serial=str(serial or ""),
        resolution_ps=float(tagger.resolution()) * 1e12,
        clock_reference=str(clock()) if callable(clock) else "internal",
    )
