"""The FPGA card of VeriQloud's Kiwi: registers by memory map, clicks and angles by character devices.

A receiver's clicks become tags: result r is channel 1 + r, and a time is slot * 12.5 ns plus, from time-tag words,
the arrival within the slot. A sender's card gives the angles of the slots that it is told (`angles_at`). The card
plays its angles from a random source of its own and tells each slot's only once and in order, which is less than the
role PatternGenerator asks.

Sources: register map and device names of the maker's published control software (kiwi_hw_control); facts only, not
checked against a card.
"""

import os
import select
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter
from qcodes.validators import Ints

from faintlink.core.errors import ConfigError, ConnectionLostError
from faintlink.core.units import Slots
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.timetaggers import veriqloud_kiwi_codec as codec
from faintlink.drivers.timetaggers.veriqloud_kiwi_stream import KiwiRegisters, KiwiStream, Records

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class VeriqloudKiwi(DriverMixin, Instrument):
    """A card.

    Parameters
    ----------
    name
        Instrument name.
    address
        Device or file with the registers.
    clicks
        Device or file from which a receiver's records are read.
    records
        ``clicks`` or ``time-tags``: what that file holds.
    slots_out, angles
        Sender only: files to which slots are written and from which their angles are read.

    Raises
    ------
    ConnectionLostError
        The registers cannot be mapped.
    """

    verified_on_hardware: ClassVar[str | None] = None
    timeout_s: ClassVar[float] = 2.0

    def __init__(
        self,
        name: str,
        address: str = "/dev/xdma0_user",
        *,
        clicks: str = "/dev/xdma0_c2h_1",
        records: str = "clicks",
        slots_out: str = "/dev/xdma0_h2c_0",
        angles: str = "/dev/xdma0_c2h_3",
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        self._clicks, self._slots_out, self._angles = clicks, slots_out, angles
        self._stream: KiwiStream | None = None
        try:
            self.records = Records(records)
            self.registers = KiwiRegisters(address)
        except ValueError as error:
            self.close()
            raise ConfigError(f"{name}: records are {' or '.join(Records)}, not {records!r}") from error
        except BaseException:
            self.close()
            raise
        self.capabilities = Capabilities("Kiwi")
        self._add_parameters()

    def _add_parameters(self) -> None:
        step_ps = codec.SLOT_PS if self.records is Records.CLICKS else codec.STEP_PS
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: step_ps * 1e-12, set_cmd=False
        )
        """A slot, or a step within it."""
        self.counts: Parameter[tuple[int, ...], Self] = self.add_parameter(
            "counts",
            label="Counts",
            get_cmd=lambda: tuple(self.registers.read(codec.COUNTS + at) for at in codec.COUNT_OFFSETS),
            set_cmd=False,
            snapshot_get=False,
        )
        """The three count registers: all clicks, and those of each detector."""
        self.pps_status: Parameter[int, Self] = self.add_parameter(
            "pps_status",
            label="PPS status",
            get_cmd=lambda: self.registers.read(codec.GC + codec.PPS_STATUS),
            set_cmd=False,
        )
        """The register that tells of the pulse per second."""
        self.fifo_status: Parameter[int, Self] = self.add_parameter(
            "fifo_status",
            label="FIFO status",
            get_cmd=lambda: self.registers.read(codec.GC + codec.FIFO_STATUS),
            set_cmd=False,
        )
        """Flags of the card's buffers."""
        self.fibre_delay: Parameter[int, Self] = self.add_parameter(
            "fibre_delay",
            label="Fibre delay",
            get_cmd=lambda: self.registers.read(codec.GC + codec.FIBRE_DELAY),
            set_cmd=self._set_fibre_delay,
            vals=Ints(0, 0xFFFFFFFF),
        )
        """Slots by which the receiver's counter is behind."""

    def _set_fibre_delay(self, slots: int) -> None:
        self.registers.write(codec.GC + codec.FIBRE_DELAY, slots)
        self._edge(codec.LATCH)

    def _edge(self, offset: int) -> None:
        with self.lock:
            self.registers.write(codec.GC + offset, 0)
            self.registers.write(codec.GC + offset, 1)

    def _opened(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags)
        except OSError as error:
            raise ConnectionLostError(
                f"{self.full_name}: {path} cannot be opened: {error}",
                hint="check that the card's kernel driver is loaded, and the rights on the device",
                device=self.full_name,
                address=path,
            ) from error

    def begin_stream(self) -> int:
        """Empty the card's buffers, start it and return the open click file; `KiwiStream` calls it."""
        handle = self._opened(self._clicks, os.O_RDONLY | os.O_NONBLOCK)
        self._edge(codec.FIFO_RESET)
        self._edge(codec.START)
        return handle

    def end_stream(self) -> None:
        """Let the card record no more; `KiwiStream` calls it."""
        self.registers.write(codec.GC + codec.START, 0)

    def has_overflowed(self) -> bool:
        """Return whether a buffer of the card is full now, so that clicks may be lost."""
        return bool(self.registers.read(codec.GC + codec.FIFO_STATUS) & (codec.GC_OUT_FULL | codec.VFIFO_FULL))

    def stream(self) -> KiwiStream:
        """Return a stream of tags that is not yet started."""
        self._stream = KiwiStream(self)
        return self._stream

    def angles_at(self, slots: Slots) -> codec.Angles:
        """Return what a sender's card played in slots (n,) int64; each slot can be asked for once, in order.

        Raises
        ------
        ConnectionLostError
            The card does not answer in time.
        """
        size = (len(slots) + 1) // 2
        with self.lock:
            source = self._opened(self._angles, os.O_RDONLY | os.O_NONBLOCK)
            try:
                target = self._opened(self._slots_out, os.O_WRONLY)
                try:
                    os.write(target, codec.encode_clicks(slots, slots.astype("u1") * 0))
                finally:
                    os.close(target)
                return codec.decode_angles(self._exactly(source, size), len(slots))
            finally:
                os.close(source)

    def _exactly(self, handle: int, size: int) -> bytes:
        data, deadline = b"", time.monotonic() + self.timeout_s
        while len(data) < size:
            ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(handle, size - len(data)) if ready else b""
            data += part
            if not part:
                if time.monotonic() >= deadline:
                    raise ConnectionLostError(
                        f"{self.full_name}: {len(data)} of {size} bytes of angles came within {self.timeout_s:g} s",
                        hint="slots must be told in order and once; start the card anew",
                        device=self.full_name,
                    )
                time.sleep(0.001)
        return data

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; the card does not tell."""
        return {"vendor": "VeriQloud", "model": "Kiwi", "serial": None, "firmware": None}

    def safe_state(self) -> None:
        """Stop the stream."""
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Unmap the registers and forget the instrument."""
        registers = getattr(self, "registers", None)
        if registers is not None:
            self.safe_state()
            registers.close()
            del self.registers
        super().close()
