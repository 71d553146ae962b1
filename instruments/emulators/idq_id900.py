"""An emulated ID900 with its data link: SCPI on one ZeroMQ socket, the data link on another, streams on more.

Sources: as the driver, `faintlink.drivers.timetaggers.idq_id900`.
"""

import json
import threading
from collections import deque

from faintlink.core.tags import TagBlock, concatenate
from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.scpi import ScpiDevice
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.emulators.kit.zmq_server import ZmqPushServer
from faintlink.instruments.roles import TagStream

INPUTS = 4
_MOST_WAITING = 4
_PER_INPUT = {
    "INPUt{n}:ENABle": "ON",
    "INPUt{n}:THREshold": "0.5V",
    "INPUt{n}:EDGE": "RISING",
    "DELAy{n}:VALUe": "0",
    "RAW{n}:STOP:LINK": "NONE",
    "RAW{n}:REF:LINK": "NONE",
    "RAW{n}:SEND": "OFF",
}


class EmulatedID900(ScpiDevice):
    """The controller.

    Parameters
    ----------
    source
        Where its tags come from; channels 1 to 4 are its inputs.
    """

    def __init__(self, source: TagSource) -> None:
        super().__init__("IDQ,ID900,emulated-1,1.0")
        self._source = source
        self.lost = [0] * (INPUTS + 1)
        """Time stamps lost by channel since the counter was cleared."""
        self._tags_lock = threading.RLock()
        self._running: TagStream | None = None
        self._held = TagBlock.empty()
        self._origin_ps: int | None = None
        self._power_on()
        for header in _PER_INPUT:
            self._on_kept(header)
        for header in ("DEVIce:RESolution", "RECord:TRIG:ARM:MODE", "RECord:ENABle", "RECord:NUMber"):
            self._on_kept(header)
        self.on("RECord:PWIDth", lambda value: setattr(self, "length_ps", int(value)))
        self.on("RECord:PPERiod", lambda value: setattr(self, "period_ps", int(value)))
        self.on("RECord:PLAY", self._play)
        self.on("RECord:STOP", self._halt)
        self.on("RAW{n}:ERRORS?", lambda n: str(self.lost[n]))
        self.on("RAW{n}:ERRORS:CLEAR", lambda n: self.lost.__setitem__(n, 0))

    def _on_kept(self, header: str) -> None:
        """Register a setting that is only remembered."""
        default = _PER_INPUT.get(header, "HISPEED")
        self.on(header, lambda *given: self._values.__setitem__((header, *given[:-1]), str(given[-1])))
        self.on(f"{header}?", lambda *numbers: self._values.get((header, *numbers), default))

    def _power_on(self) -> None:
        self.length_ps = self.period_ps = 10**12
        self._values: dict[tuple[object, ...], str] = {}
        self._halt()
        self._queues: list[deque[bytes]] = [deque() for _ in range(INPUTS + 1)]

    def reboot(self) -> None:
        """Restart: settings of power-on, no recording."""
        super().reboot()
        self._power_on()

    def handle(self, line: str) -> bytes:
        """Answer a line; what is refused is answered with its reason."""
        answer = super().handle(line)
        if self.errors:
            answer = b"Invalid command: " + self.errors[-1].encode("latin-1") + self.terminator
            self.errors.clear()
        return answer

    def _play(self) -> None:
        with self._tags_lock:
            self._queues = [deque() for _ in range(INPUTS + 1)]
            self._held = TagBlock.empty()
            self._origin_ps = None
            self._running = self._source()
            self._running.start()

    def _halt(self) -> None:
        with self._tags_lock:
            running, self._running = self._running, None
            if running is not None:
                running.stop()
                self._cut(self._held)

    def take(self, channel: int) -> bytes | None:
        """Return the next sub-acquisition of one channel, as the data link asks for it."""
        with self._tags_lock:
            if not self._queues[channel] and max(len(queue) for queue in self._queues) < _MOST_WAITING:
                self._record()
            return self._queues[channel].popleft() if self._queues[channel] else None

    def _record(self) -> None:
        """Read the source, and cut off each sub-acquisition that is over."""
        block = self._running.read(0.01) if self._running is not None else TagBlock.empty()
        if not len(block):
            return
        if self._origin_ps is None:
            self._origin_ps = int(block.times_ps[0])
        self._held = concatenate([self._held, block])
        while self._held.times_ps[-1] >= self._origin_ps + self.period_ps:
            end_ps = self._origin_ps + self.period_ps
            self._cut(self._held.between(self._origin_ps, end_ps))
            self._held = self._held.between(end_ps, 1 << 62)
            self._origin_ps = end_ps

    def _cut(self, tags: TagBlock) -> None:
        if self._origin_ps is None:
            return
        since_ps = tags.times_ps - self._origin_ps
        is_live = since_ps < self.length_ps
        for channel in range(1, INPUTS + 1):
            mine = is_live & (tags.channels == channel)
            self._queues[channel].append(since_ps[mine].astype("<u8").tobytes())


class EmulatedDataLink(LineDevice):
    """The data link's service beside a controller.

    Parameters
    ----------
    controller
        Whose time stamps it streams.
    """

    def __init__(self, controller: EmulatedID900) -> None:
        super().__init__()
        self._controller = controller
        self.streams: dict[str, ZmqPushServer] = {}
        """Running streams by their number."""

    def handle(self, line: str) -> bytes:
        """Answer ``start-stream``, ``stop``, ``status`` and ``list`` in JSON."""
        command, *words = line.split()
        options = {key.lstrip("-"): value for key, value in zip(words[::2], words[1::2], strict=False)}
        if command == "start-stream":
            answer: object = self._start(int(options["channel"]), int(options["stream-port"]))
        elif command in ("stop", "status") and options.get("id") in self.streams:
            if command == "stop":
                self.streams.pop(options["id"]).close()
            answer = {"id": options["id"], "status": {}}
        elif command == "list":
            answer = list(self.streams)
        else:
            answer = {"error": {"description": f"cannot {line}"}}
        return json.dumps(answer).encode()

    def _start(self, channel: int, port: int) -> dict[str, str]:
        name = f"stream-{channel}"
        self.streams[name] = ZmqPushServer(lambda: self._controller.take(channel), port=port)
        return {"id": name}

    def close(self) -> None:
        """End every stream."""
        while self.streams:
            self.streams.popitem()[1].close()
