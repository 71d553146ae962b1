"""Read a run: the parties' files of a folder, or side by side, as one.

`open_run` gathers the files by party and segment and refuses what does not belong together. It never writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.errors import SchemaError
from faintlink.core.records import LossCount
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.schema import RunHeader, StreamKind, StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

SIMULATION = "simulation"
"""Origin of runs of mock instruments; keys made of them protect nothing."""


class PartyRecording:
    """All segments of one party, read as one.

    Parameters
    ----------
    paths
        The party's files in order.
    """

    def __init__(self, party: Party, paths: Sequence[Path]) -> None:
        self.party = party
        self.paths = list(paths)
        with self._open(0) as first:
            self.header = first.header
            self.context = dict(first.context)
            self.streams = {name: stream.spec for name, stream in first.streams.items()}

    def __repr__(self) -> str:
        return (
            f"<PartyRecording {self.party}: {', '.join(self.streams)} in {', '.join(path.name for path in self.paths)}>"
        )

    def _open(self, number: int) -> RunFileReader:
        return RunFileReader(self.paths[number])

    def only_stream(self, kind: StreamKind) -> StreamSpec:
        """Return the party's one stream of a kind.

        Raises
        ------
        SchemaError
            There is none, or more than one.
        """
        found = [spec for spec in self.streams.values() if spec.kind == kind]
        if len(found) != 1:
            raise SchemaError(
                f"{self.paths[0]}: {self.party} has {len(found)} streams of {kind}, expected one",
                hint="`faintlink inspect FILE` lists the streams",
            )
        return found[0]

    def tags(self, stream: str | None = None) -> Iterator[TagBlock]:
        """Yield the tags of a stream (the only one if not named), block by block, checked."""
        name = stream or self.only_stream("tags").name
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                for block in reader.streams[name].blocks():
                    yield block.as_tags()

    def settings(self, stream: str | None = None) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield (slots (n,) int64, codes (n,) uint8) of a sender's settings, block by block."""
        name = stream or self.only_stream("settings").name
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                for block in reader.streams[name].blocks():
                    yield block.columns[0], block.columns[1]

    def loss(self, stream: str) -> LossCount:
        """Return what a stream holds and what it lost, over all segments."""
        total = LossCount()
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                total += reader.streams[stream].loss
        return total


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """The recordings of a run, by party."""

    run_id: str
    parties: dict[Party, PartyRecording]

    @property
    def origin(self) -> str:
        """Where the data came from: ``simulation`` if any file says so, else what the files say."""
        origins = {recording.context.get("origin", "unknown") for recording in self.parties.values()}
        return SIMULATION if SIMULATION in origins else "+".join(sorted(origins))

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self.origin}: {[*self.parties.values()]}>"

    def __getitem__(self, party: Party) -> PartyRecording:
        if party not in self.parties:
            raise SchemaError(
                f"run {self.run_id} has no file of {party}; it has {sorted(self.parties)}",
                hint="name the run folder, or the files of all parties side by side",
            )
        return self.parties[party]


def open_run(paths: Sequence[Path]) -> Run:
    """Open a run folder, or the parties' files side by side.

    Raises
    ------
    SchemaError
        Nothing to open, a file is no run file, or the files belong to different runs.
    """
    files = [file for path in paths for file in run_files(path)]
    if not files:
        raise SchemaError(f"no run file in {', '.join(map(str, paths))}", hint="name a run folder or *.h5 files")
    headers = {file: _header(file) for file in files}
    runs = {header.run_id for header in headers.values()}
    if len(runs) != 1:
        raise SchemaError(f"the files belong to different runs: {', '.join(sorted(runs))}")
    parties: dict[Party, PartyRecording] = {}
    for name in sorted({header.party for header in headers.values()}):
        own = sorted((header.segment, str(file)) for file, header in headers.items() if header.party == name)
        _refuse_twins(name, own)
        parties[Party(name)] = PartyRecording(Party(name), [Path(file) for _, file in own])
    return Run(runs.pop(), parties)


def run_files(path: Path) -> list[Path]:
    """Return the run files of a folder, a recovered one in place of its original; a file stands for itself."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.h5"))
    recovered = {file.name.removesuffix(".recovered.h5") for file in found if file.name.endswith(".recovered.h5")}
    return [file for file in found if file.stem not in recovered]


def _header(file: Path) -> RunHeader:
    with RunFileReader(file) as reader:
        if reader.header.party not in set(Party):
            raise SchemaError(f"{file} belongs to {reader.header.party!r}, expected one of {[*Party]}")
        return reader.header


def _refuse_twins(party: str, segments: list[tuple[int, str]]) -> None:
    numbers = [number for number, _ in segments]
    if numbers != list(range(len(numbers))):
        raise SchemaError(
            f"the files of {party} have segment numbers {numbers}, expected 0..{len(numbers) - 1}, each once",
            hint="a file of the run is missing, or named twice: " + ", ".join(file for _, file in segments),
        )
