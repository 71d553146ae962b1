"""What must be true before a run is armed, checked all at once.

Pure looks at the configuration, the station and the disk; nothing is started and nothing is made. Used by
`faintlink.acquisition.run.Run`.
"""

import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from faintlink.core.config.link import LinkConfig, PulsedSource
from faintlink.core.errors import ConfigError, FaintlinkError, RunExistsError, RunfileError
from faintlink.instruments.roles import ROLES, check_role

BYTES_PER_TAG = 9.2
"""On disk, with chunks and index."""
RESERVE_BYTES = 64 << 20
"""Kept free so that files can be sealed."""
_SPECIAL_ROLES = {
    "sender": "PatternGenerator",
    "laser": "PulsedLaser",
    "detector": "SinglePhotonDetector",
    "gate_delay": "DelayLine",
}


class Station(Protocol):
    """What a run needs of a station; `LabStation` of the instruments is one."""

    def component(self, name: str) -> Any:
        """Return the instrument of that name."""
        ...

    def snapshot(self) -> Mapping[str, Any]:
        """Return the state of every instrument as data for JSON."""
        ...


def role_class(role: str) -> str:
    """Return the name of the role Protocol that a role of a link file asks for.

    ``attenuator`` asks for an Attenuator, and so does ``attenuator_2``.

    Raises
    ------
    ConfigError
        No Protocol is known for the name.
    """
    stem = re.sub(r"_\d+$", "", role)
    name = _SPECIAL_ROLES.get(stem, "".join(word.capitalize() for word in stem.split("_")))
    if name not in ROLES:
        known = sorted([*_SPECIAL_ROLES, *(re.sub(r"(?<!^)(?=[A-Z])", "_", known).lower() for known in ROLES)])
        raise ConfigError(f"roles: {role}: unknown role", hint=f"known roles: {', '.join(known)}")
    return name


def require_link_matches_station(link: LinkConfig, station: Station) -> None:
    """Check every role and every number that the link file and the instruments both hold.

    Raises
    ------
    ConfigError
        With each mismatch in ``faults``.
    """
    faults = [*_role_faults(link, station)]
    if not faults:
        faults = [*_source_faults(link, station), *_channel_faults(link, station)]
    if faults:
        raise ConfigError(
            f"link {link.name} does not fit its station:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint="correct the link file or the station file; both describe the same table",
            faults=faults,
        )


def _role_faults(link: LinkConfig, station: Station) -> Iterator[str]:
    if link.source is not None and "sender" not in link.roles:
        yield "roles: sender: required for a link with a pulsed source, but missing"
    bindings = [(f"roles: {role}", role, name) for role, name in link.roles.items()]
    bindings += [
        (f"receivers: {party}: tagger", "time_tagger", receiver.tagger) for party, receiver in link.receivers.items()
    ]
    for where, role, name in bindings:
        try:
            check_role(station.component(name), role_class(role))
        except FaintlinkError as error:
            yield f"{where}: {error.message}"


def _source_faults(link: LinkConfig, station: Station) -> Iterator[str]:
    if link.source is None:
        return
    sender = station.component(link.roles["sender"])
    for field, expected, seen in _source_pairs(link.source, sender):
        if not _agree(expected, seen):
            yield f"source: {field}: the link file says {_shown(expected)}, the sender {_shown(seen)}"


def _source_pairs(source: PulsedSource, sender: Any) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    yield "pulse_rate_hz", (source.pulse_rate_hz,), (float(sender.pulse_rate_hz()),)
    played = tuple(float(share) for share in sender.intensity_probabilities())
    yield "probabilities", source.probabilities, played
    yield "key_basis_probability", (source.key_basis_probability,), (float(sender.basis_probability_z()),)
    seed, slots = sender.preamble
    yield "preamble: seed", (source.preamble.seed,), (int(seed),)
    yield "preamble: slots", (source.preamble.slots,), (int(slots),)


def _agree(expected: tuple[float, ...], seen: tuple[float, ...]) -> bool:
    close = all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in zip(expected, seen, strict=False))
    return len(expected) == len(seen) and close


def _shown(values: tuple[float, ...]) -> str:
    return f"{values[0]:.12g}" if len(values) == 1 else "[" + ", ".join(f"{value:.12g}" for value in values) + "]"


def _channel_faults(link: LinkConfig, station: Station) -> Iterator[str]:
    """Check the channels of taggers that say which they have; the role does not ask them to."""
    for party, receiver in link.receivers.items():
        offered = getattr(station.component(receiver.tagger), "channels", None)
        offered = offered() if callable(offered) else offered
        if offered is None or not all(isinstance(channel, int) for channel in offered):
            continue
        missing = sorted(set(receiver.channels) - set(offered))
        unnamed = sorted(set(offered) - set(receiver.channels) - set(receiver.ignored_channels))
        if missing:
            yield f"receivers: {party}: channels: {missing} are not channels of {receiver.tagger}"
        if unnamed:
            yield f"receivers: {party}: channels {unnamed} of {receiver.tagger} are neither mapped nor ignored"


def require_new_folder(folder: Path) -> None:
    """Check that nothing would be overwritten.

    Raises
    ------
    RunExistsError
        ``folder`` exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint="choose another --out")


def require_disk_space(folder: Path, *, rate_hz: float, duration_s: float) -> None:
    """Check that a run of the expected size fits.

    Raises
    ------
    RunfileError
        The disk has too little free space.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    needed = round(rate_hz * duration_s * BYTES_PER_TAG) + 2 * RESERVE_BYTES
    if free < needed:
        raise RunfileError(
            f"{existing} has {_size(free)} free; {duration_s:g} s at {rate_hz:.3g} tags/s need {_size(needed)}",
            hint="make room, choose a disk with --out, shorten --duration, or correct --expected-rate",
        )


def require_shared_memory(size_bytes: int, folder: Path = Path("/dev/shm")) -> None:  # noqa: S108 - not a temporary file
    """Check that the rings fit into the machine's shared memory, where that has a limit of its own.

    Raises
    ------
    RunfileError
        They do not.
    """
    if os.name != "posix" or not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise RunfileError(
            f"{folder} has {_size(free)} free; the buffers need {_size(size_bytes)}",
            hint="lower acquisition.buffer_blocks in the link file, or give the machine more shared memory",
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
