"""From a receiver's tags and the sender's record to sifted bits, for links with a pulsed sender.

Sources: the stages' own modules.
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from faintlink.core.config.link import LinkConfig, PulsedSource
from faintlink.core.errors import ConfigError, SchemaError
from faintlink.core.runfile.folder import PartyRecording, Run
from faintlink.core.symbols import Party
from faintlink.core.units import Slots
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.detection import ArrivalStatistics, Detections, PulsedDetector
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.sift import SettingsCursor, sift
from faintlink.postprocess.qkd.slots import SlotCounter
from faintlink.postprocess.qkd.squash import SEED_BYTES
from faintlink.postprocess.qkd.stages import Fact


class PulsedReceiver:
    """Clock, slots and detections of Bob's stream; the same object live and offline.

    Parameters
    ----------
    link
        Of a prepare-and-measure protocol.
    squash_seed
        The receiver's secret, from his run file.
    """

    def __init__(self, link: LinkConfig, squash_seed: bytes) -> None:
        source = pulsed_source(link)
        self.counter = SlotCounter(source, link.clock)
        self._detector = PulsedDetector(
            link.receivers[Party.BOB], link.gate, period_ps=source.period_ps, squash_seed=squash_seed
        )

    def detect(self, tags: SlottedTags) -> tuple[Detections, ArrivalStatistics]:
        """Return the detections of a stretch that `counter` has numbered."""
        return self._detector.detect(tags)


def pulsed_source(link: LinkConfig) -> PulsedSource:
    """Return the section ``source`` of a link.

    Raises
    ------
    ConfigError
        The link has none.
    """
    if link.source is None:
        raise ConfigError(f"link {link.name} has no pulsed source", hint="its protocol needs the section `source`")
    return link.source


def squash_seed(recording: PartyRecording) -> bytes:
    """Return the receiver's secret for multi-click slots from his run file.

    Raises
    ------
    SchemaError
        The file has none.
    """
    try:
        seed = bytes.fromhex(recording.context["squash_seed"])
    except (KeyError, ValueError):
        seed = b""
    if len(seed) != SEED_BYTES:
        raise SchemaError(
            f"{recording.paths[0]} holds no squash_seed of {SEED_BYTES} bytes",
            hint="the receiver's own file is needed, as acquisition or import wrote it",
        )
    return seed


def wanted_slots(tags: SlottedTags, after: int) -> Slots:
    """Return the slots later than ``after`` in which anything clicked, (n,) int64 strictly increasing.

    These are the slots of which the sender is asked the settings: all clicks, whatever the gate, so that a later
    analysis may choose another gate.
    """
    slots = tags.slots[tags.slots > max(after, -1)]
    return slots[np.concatenate(([True], slots[1:] != slots[:-1]))] if slots.size else slots


class PulsedRun:
    """Sift a recorded run of a pulsed link.

    Parameters
    ----------
    run
        With Alice's and Bob's files.
    link
        Its configuration.
    """

    def __init__(self, run: Run, link: LinkConfig) -> None:
        self._bob = run[Party.BOB]
        self._settings = SettingsCursor(run[Party.ALICE].settings())
        self._receiver = PulsedReceiver(link, squash_seed(self._bob))
        self._reached = 0

    def pieces(self) -> Iterator[SiftedPiece]:
        """Yield the sifted bits interval by interval."""
        for tags in self._receiver.counter.stretches(self._bob.tags()):
            yield self._sift(tags)

    def clock_facts(self) -> dict[str, Fact]:
        """Return what the clock stage has found so far."""
        report = self._receiver.counter.report()
        return dict(asdict(report)) if report else {}

    def _sift(self, tags: SlottedTags) -> SiftedPiece:
        detections, arrivals = self._receiver.detect(tags)
        slots = detections.slots
        first, last = (int(slots[0]), int(slots[-1])) if slots.size else (self._reached, -1)
        bits, count = sift(detections, *self._settings.upto(first, last))
        start = self._reached
        if tags.slots.size:
            # A tag of the last slot may still come with the next interval.
            self._reached = max(self._reached, int(tags.slots[-1]))
        return SiftedPiece(bits, start, self._reached, detections.time_ps, {Party.BOB: arrivals}, count)
