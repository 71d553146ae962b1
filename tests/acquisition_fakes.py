"""Small stand-ins for a station, a sender, a tagger and an analysis, for tests of the acquisition alone.

A `FakeStream` delivers a prepared sequence of blocks; nothing here knows any physics.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import PartyRecording, open_run
from faintlink.core.symbols import Party
from faintlink.core.tags import GapRecord, TagBlock
from faintlink.instruments.roles import Preamble
from faintlink.postprocess.qkd.live import LiveSummary

LINK_TEXT = """
format: faintlink.link/1
name: fake
protocol: bb84-decoy
roles: {sender: pattern}
receivers:
  bob:
    tagger: tagger
    channels:
      1: {basis: Z, bit: 0}
      2: {basis: Z, bit: 1}
      3: {basis: X, bit: 0}
      4: {basis: X, bit: 1}
source:
  pulse_rate_hz: 80e6
  intensities: [0.5, 0.15]
  probabilities: [0.7, 0.3]
  key_basis_probability: 0.9
  preamble: {seed: 1, slots: 4096}
acquisition: {duration_s: %(duration_s)s, commit_ms: %(commit_ms)s, block_tags: %(block_tags)s, buffer_blocks: 8}
security: {bound: rusca2018, length: legacy}
"""
PAIR_LINK_TEXT = """
format: faintlink.link/1
name: fake-pairs
protocol: bbm92
receivers:
  alice:
    tagger: alice_tagger
    channels:
      1: {basis: Z, bit: 0}
      2: {basis: Z, bit: 1}
      3: {basis: X, bit: 0}
      4: {basis: X, bit: 1}
  bob:
    tagger: bob_tagger
    channels:
      1: {basis: Z, bit: 0}
      2: {basis: Z, bit: 1}
      3: {basis: X, bit: 0}
      4: {basis: X, bit: 1}
pairs: {}
acquisition: {duration_s: 1.0, commit_ms: 50.0, block_tags: 4096, buffer_blocks: 8}
security: {bound: lim2014, length: legacy}
"""
STEP_PS = 1_000_000
"""Distance of two tags of `numbered`: a rate of 1 MHz."""


def fake_link(*, duration_s: float = 1.0, commit_ms: float = 50.0, block_tags: int = 4096) -> LinkConfig:
    """Return a link that fits `FakeStation`."""
    text = LINK_TEXT % {"duration_s": duration_s, "commit_ms": commit_ms, "block_tags": block_tags}
    return parse_yaml(text, LinkConfig, "fake.link.yaml")


def numbered(first: int, count: int, gaps: tuple[GapRecord, ...] = ()) -> TagBlock:
    """Return tags ``first`` .. ``first + count - 1`` of an endless regular sequence."""
    index = np.arange(first, first + count, dtype=np.int64)
    return TagBlock(index * STEP_PS, (index % 4 + 1).astype(np.uint8), gaps)


class FakeParameter:
    """A parameter as `check_role` wants it."""

    gettable = True
    settable = True
    vals = object()

    def __init__(self, value: Any, unit: str = "") -> None:
        self._value = value
        self.unit = unit

    def __call__(self) -> Any:
        """Return the value."""
        return self._value


class FakeStream:
    """Delivers numbered tags at a pace, or as fast as they are read; may fail at a given tag.

    Parameters
    ----------
    rate_hz
        Tags per second of wall clock; None delivers a block at each read.
    read_tags
        Tags of one read.
    fail_at
        Raise ``error`` instead of delivering this tag.
    """

    def __init__(
        self,
        *,
        rate_hz: float | None = None,
        read_tags: int = 1000,
        fail_at: int | None = None,
        error: Exception | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.rate_hz = rate_hz
        self.read_tags = read_tags
        self.fail_at = fail_at
        self.error = error or OSError("the cable fell out")
        self.pause_s = pause_s
        self.sent = 0
        self.running = False
        self.gaps: list[tuple[int, GapRecord]] = []

    def start(self) -> None:
        """Begin."""
        self.running = True
        self._since = time.monotonic()

    def read(self, timeout_s: float) -> TagBlock:
        """Return the next tags."""
        if not self.running:
            return TagBlock.empty()
        count = self._due(timeout_s)
        if self.fail_at is not None and self.sent + count > self.fail_at:
            raise self.error
        gaps = tuple(gap for at, gap in self.gaps if self.sent <= at < self.sent + count)
        block = numbered(self.sent, count, gaps)
        self.sent += count
        return block

    def _due(self, timeout_s: float) -> int:
        if self.rate_hz is None:
            time.sleep(self.pause_s)
            return self.read_tags
        time.sleep(min(timeout_s, 0.01))
        return int((time.monotonic() - self._since) * self.rate_hz) - self.sent

    def stop(self) -> None:
        """End."""
        self.running = False


class FakeTagger:
    """A time tagger with a prepared stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.resolution = FakeParameter(1e-12, "s")

    def stream(self) -> Any:
        """Return the stream."""
        return self._stream

    def safe_state(self) -> None:
        """Nothing to do."""

    def get_idn(self) -> dict[str, str]:
        """Return who it is."""
        return {"vendor": "fake", "serial": "F-1"}


class FakeSender:
    """A pattern generator that fits `fake_link`; the setting of slot n is n modulo 16."""

    def __init__(self, **changes: Any) -> None:
        self.pulse_rate_hz = FakeParameter(changes.get("pulse_rate_hz", 80e6), "Hz")
        self.intensity_probabilities = FakeParameter(changes.get("probabilities", (0.7, 0.3)))
        self.basis_probability_z = FakeParameter(changes.get("basis", 0.9))
        self.preamble = Preamble(changes.get("seed", 1), 4096)
        self.running = False
        self.asked_while_stopped = False

    def start(self) -> None:
        """Play."""
        self.running = True

    def stop(self) -> None:
        """Stop."""
        self.running = False

    def settings_at(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the settings."""
        self.asked_while_stopped |= not self.running
        return (slots % 16).astype(np.uint8)

    def safe_state(self) -> None:
        """Nothing to do."""


class FakeStation:
    """Named components."""

    def __init__(self, **components: Any) -> None:
        self.components = components

    def component(self, name: str) -> Any:
        """Return a component."""
        if name not in self.components:
            raise ConfigError(f"the station has no {name}")
        return self.components[name]

    def snapshot(self) -> dict[str, Any]:
        """Return something."""
        return {"instruments": sorted(self.components)}


class FakeAnalysis:
    """Counts tags and asks for slot t / 12.5 ns of every ``every``-th tag.

    Parameters
    ----------
    slow_s
        Time that a block takes.
    fail_after
        Raise after so many blocks.
    """

    def __init__(self, *, every: int = 10, slow_s: float = 0.0, fail_after: int | None = None) -> None:
        self.every = every
        self.slow_s = slow_s
        self.fail_after = fail_after
        self.blocks: list[tuple[Party, TagBlock]] = []
        self.answers: dict[int, int] = {}
        self.finished = False
        self.tags = 0
        self.lost = 0

    def feed(self, party: Party, block: TagBlock) -> npt.NDArray[np.int64]:
        """Count, and ask."""
        if self.fail_after is not None and len(self.blocks) >= self.fail_after:
            raise ArithmeticError("the analysis broke")
        time.sleep(self.slow_s)
        self.blocks.append((party, block))
        self.tags += len(block)
        self.lost += block.lost
        return block.times_ps[:: self.every] // 12_500 if self.every else np.empty(0, np.int64)

    def account(self, slots: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]) -> None:
        """Keep the answers."""
        self.answers.update(zip(slots.tolist(), codes.tolist(), strict=True))

    def finish(self) -> npt.NDArray[np.int64]:
        """Ask for one last slot."""
        self.finished = True
        return np.array([10**12], np.int64) if self.every else np.empty(0, np.int64)

    def summary(self) -> LiveSummary:
        """Return counts."""
        return LiveSummary(tags=self.tags, lost=self.lost, state="counting")


def recorded(folder: Path) -> Mapping[Party, PartyRecording]:
    """Return the recordings of a run folder."""
    return open_run([folder]).parties


def all_tags(recording: PartyRecording) -> TagBlock:
    """Return all tags of a recording, gaps included."""
    blocks = list(recording.tags())
    times = np.concatenate([block.times_ps for block in blocks]) if blocks else np.empty(0, np.int64)
    channels = np.concatenate([block.channels for block in blocks]) if blocks else np.empty(0, np.uint8)
    return TagBlock(times, channels, tuple(gap for block in blocks for gap in block.gaps))


def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> bool:
    """Wait until ``condition`` holds; return whether it did in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def run_in_thread(work: Callable[[], Any]) -> threading.Thread:
    """Start ``work`` in a thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
