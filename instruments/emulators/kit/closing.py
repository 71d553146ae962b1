"""Servers of emulated devices end with the block that they were made for."""

from types import TracebackType
from typing import Self


class ClosedAtExit:
    """Something with ``close``, for ``with``."""

    def close(self) -> None:
        """End it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
