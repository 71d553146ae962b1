"""A strict reader of binary messages: every field has a size, and nothing may be left over.

Sans-I/O and without numpy. Used by the messages of tokens and payments.

Sources: own design.
"""

import struct

from faintlink.core.errors import RemoteProtocolError


def packed_size(count: int) -> int:
    """Return the bytes of ``count`` packed bits."""
    return (count + 7) // 8


class Fields:
    """Reads the fields of one message in their order.

    Parameters
    ----------
    data
        The whole message.
    head
        What it must begin with.
    name
        What it is, for errors.

    Raises
    ------
    RemoteProtocolError
        The message begins otherwise, or, by any method, does not hold what it should.
    """

    def __init__(self, data: bytes, head: bytes, name: str) -> None:
        if data[: len(head)] != head:
            raise RemoteProtocolError(f"expected a message {name}, got {data[:4].hex() or 'nothing'}")
        self._data, self._at, self._name = data, len(head), name

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise RemoteProtocolError(f"a message {self._name} was cut short after {len(self._data)} bytes")
        self._at += size
        return part

    def number(self, layout: str, low: float, high: float) -> float:
        """Return one number in low .. high."""
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        if not low <= value <= high:
            raise RemoteProtocolError(f"a message {self._name} holds {value}, expected {low} to {high}")
        return float(value)

    def bits(self, count: int) -> bytes:
        """Return ``count`` packed bits; those behind the last must be zero."""
        part = self.take(packed_size(count))
        if count % 8 and part[-1] & (0xFF >> count % 8):
            raise RemoteProtocolError(f"a message {self._name} holds bits behind the last of {count}")
        return part

    def end(self) -> None:
        """Refuse what stands behind the last field."""
        if self._at != len(self._data):
            raise RemoteProtocolError(f"a message {self._name} is {len(self._data) - self._at} bytes too long")
