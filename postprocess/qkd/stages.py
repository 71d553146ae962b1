"""How stages report: a name, how long it took, and the facts it found."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Fact: TypeAlias = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage of a pipeline did."""

    stage: str
    """Name of the stage."""
    seconds: float
    """Time it took."""
    facts: Mapping[str, Fact]
    """What it found, by name, in the order of finding."""


@dataclass(slots=True)
class StageLog:
    """The reports of the stages of one block, in order."""

    reports: list[StageReport] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Fact]]:
        """Time a stage; it writes its facts into the dict it is given. A stage that aborts still reports."""
        facts: dict[str, Fact] = {}
        start = time.perf_counter()
        try:
            yield facts
        finally:
            self.reports.append(StageReport(name, time.perf_counter() - start, facts))
