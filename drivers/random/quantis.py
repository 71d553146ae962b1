"""ID Quantique Quantis random source, read from its character device.

Fills the role RandomSource. Works with any device or pipe that gives bytes. Every byte passes the health tests of
`faintlink.drivers.random.health` before it is given out; after a failure nothing more is, until the source is opened
again. Bytes are never logged.

Sources: the PCI cards appear as ``/dev/qrandom0`` …, from which bytes are read (others' packages; unverified on a
device); SP 800-90B 4.3 for the start-up test.
"""

import os
import select
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter

from faintlink.core.errors import ConnectionLostError, HardwareError
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.random.health import STARTUP_SAMPLES, HealthTests

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_CHUNK = 1 << 16


class IdqQuantis(DriverMixin, Instrument):
    """A hardware random source behind a file.

    Parameters
    ----------
    name
        Instrument name.
    address
        Path of the device, such as ``/dev/qrandom0``.
    min_entropy
        Entropy per byte in bits that the health tests hold it to.
    timeout_s
        Longest wait for the next byte.

    Raises
    ------
    ConnectionLostError
        The device cannot be opened, or gives nothing.
    HardwareError
        The start-up test fails.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        address: str = "/dev/qrandom0",
        *,
        min_entropy: float = 7.0,
        timeout_s: float = 5.0,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        self.capabilities = Capabilities("Quantis")
        self._timeout_s = timeout_s
        self._file = -1
        self._given = 0
        self._failure: HardwareError | None = None
        try:
            self._health = HealthTests(min_entropy=min_entropy)
            self._file = self._open()
            # Samples of the start-up test are thrown away.
            self.read_bytes(STARTUP_SAMPLES)
        except BaseException:
            self.close()
            raise
        self._given = 0
        self.bytes_given: Parameter[int, Self] = self.add_parameter(
            "bytes_given", label="Bytes given out", get_cmd=lambda: self._given, set_cmd=False
        )
        """Bytes given out since it was opened."""
        self.healthy: Parameter[bool, Self] = self.add_parameter(
            "healthy", label="Healthy", get_cmd=lambda: self._failure is None, set_cmd=False
        )
        """Whether all health tests have passed so far."""

    def _open(self) -> int:
        try:
            return os.open(Path(self.address), os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise ConnectionLostError(
                f"{self.name}: {self.address} cannot be opened: {error}",
                hint="check that the card's kernel module is loaded, and the rights on the device file",
                device=self.name,
                address=self.address,
            ) from error

    def get_idn(self) -> dict[str, str | None]:
        """Return what is known: a character device has no question for it."""
        return {"vendor": "ID Quantique", "model": "Quantis", "serial": self.address, "firmware": None}

    def read_bytes(self, size: int) -> bytes:
        """Return ``size`` fresh bytes that have passed the health tests.

        Raises
        ------
        ValueError
            ``size`` is negative.
        ConnectionLostError
            They do not come in time, or the device has gone.
        HardwareError
            A health test fails, now or at an earlier call.
        """
        if size < 0:
            raise ValueError(f"a number of bytes is not negative, got {size}")
        with self.lock:
            if self._failure is not None:
                raise HardwareError(self._failure.message, hint=self._failure.hint, **self._failure.fields)
            data = self._read(size)
            try:
                self._health.feed(data)
            except HardwareError as failure:
                self._failure = failure
                raise
            self._given += size
        return data

    def _read(self, size: int) -> bytes:
        data = bytearray()
        deadline = time.monotonic() + self._timeout_s
        while len(data) < size:
            piece = self._next_piece(min(_CHUNK, size - len(data)), deadline - time.monotonic())
            if piece:
                deadline = time.monotonic() + self._timeout_s
            data += piece
        return bytes(data)

    def _next_piece(self, size: int, left_s: float) -> bytes:
        if left_s <= 0.0:
            raise self._lost(f"nothing came within {self._timeout_s:g} s")
        ready, _, _ = select.select([self._file], [], [], left_s)
        if not ready:
            return b""
        try:
            piece = os.read(self._file, size)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(str(error)) from error
        if not piece:
            raise self._lost("the device has gone")
        return piece

    def _lost(self, what: str) -> ConnectionLostError:
        return ConnectionLostError(
            f"{self.full_name}: {self.address} gives no bytes: {what}",
            hint="check the card and its kernel module; then open the instrument again",
            device=self.full_name,
            address=self.address,
        )

    def safe_state(self) -> None:
        """Do nothing: a random source is safe by itself."""

    def close(self) -> None:
        """Close the device and forget the instrument."""
        handle, self._file = getattr(self, "_file", -1), -1
        if handle >= 0:
            os.close(handle)
        super().close()
