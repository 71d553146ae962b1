"""The clients' records of a session: what each keeps while it runs, and what all have together afterwards.

`faintlink.acquisition.bqc_run` writes one record a client below the run folder, ``clients/<party>/session.h5`` with its
``seal.key`` beside; the analysis reads all of them. Columns of the group ``public`` are known to the server too and
equal in all records; a group ``<party>_secret`` belongs to that party.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.errors import RecordMismatchError, SchemaError
from faintlink.core.recordfile import SEAL_KEY_FILE, Column, Record, fresh_seal_key, read_record, write_record
from faintlink.core.symbols import Party
from faintlink.core.units import Bits, TimesPs
from faintlink.postprocess.bqc.clients import DUMMY, added
from faintlink.postprocess.bqc.graph import Angles, colouring, graph_of
from faintlink.postprocess.bqc.order import Opening, joined_seed, require_opening, round_types
from faintlink.postprocess.bqc.traps import kinds_of

SESSION = "bqc-session"
"""Kind of a client's record."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Session:
    """All clients' records of one session, joined. Arrays are (a, n) uint8 for a attempts unless said otherwise."""

    name: str
    openings: dict[str, Opening]
    """By client."""
    commitments: dict[str, str]
    """By client, hexadecimal."""
    batch: npt.NDArray[np.int32]
    """(a,): number of the batch of each attempt."""
    rounds: npt.NDArray[np.int32]
    """(a,): which round each attempted."""
    round_types: npt.NDArray[np.uint8]
    """(d + t,): 0 computes, j tests by kind j - 1."""
    phi: Angles
    """(n,): the computation."""
    secrets: Mapping[str, Mapping[str, Column]]
    """By client: its own columns, as it recorded them."""
    theta: Angles
    """Sum of the clients' angles; meaningless where a dummy stands."""
    flips: Bits
    """Sum of the clients' bits r."""
    dummy_bits: Bits
    """Bit of each dummy, 0 elsewhere."""
    is_dummy: npt.NDArray[np.bool_]
    delta: Angles
    sent_ps: TimesPs
    """int64."""
    told: npt.NDArray[np.uint8]
    arrived: npt.NDArray[np.uint8]

    @property
    def batch_sizes(self) -> npt.NDArray[np.int64]:
        """Attempts of each batch."""
        return np.bincount(self.batch).astype(np.int64)


def public_header(policy: BqcPolicy) -> dict[str, Any]:
    """Return what both sides know of a session."""
    graph = graph_of(policy.graph)
    kinds = kinds_of(graph, policy.tests)
    return {
        "clients": [str(client) for client in policy.clients],
        "server": str(Party.BOB),
        "graph_edges": [list(edge) for edge in graph.edges],
        "order": list(graph.order),
        "flow": {str(vertex): to for vertex, to in graph.flow.items()},
        "outputs": list(graph.outputs),
        "colours": list(colouring(graph)),
        "tests": policy.tests,
        "test_kinds": [{"angles": k.angles.tolist(), "parities": k.parities.tolist()} for k in kinds],
        "k": len(kinds),
        "p": policy.inherent_error,
        "d": policy.computation_rounds,
        "t": policy.test_rounds,
        "w": policy.max_failed_tests,
        "q_expected": policy.expected_failure,
        "rounds_in_flight": policy.rounds_in_flight,
        "max_attempts": policy.max_attempts,
    }


def write_session(
    folder: Path,
    policy: BqcPolicy,
    *,
    run_id: str,
    session: str,
    party: Party,
    commitments: Mapping[str, bytes],
    public: Mapping[str, Column],
    secret: Mapping[str, Column],
) -> Path:
    """Write one client's record and its seal's key into ``folder``, which is made."""
    folder.mkdir(parents=True, mode=0o700)
    header = {**public_header(policy), "commitments": {name: value.hex() for name, value in commitments.items()}}
    record = Record(SESSION, session, run_id, str(party), header, {"public": public, f"{party}_secret": secret})
    path = folder / "session.h5"
    seal(path, record)
    return path


def seal(path: Path, record: Record) -> None:
    """Write a record under a fresh key, which is left beside it."""
    write_record(path, record, fresh_seal_key(path.parent))


def read_sessions(folder: Path, policy: BqcPolicy, run_id: str) -> Session:
    """Return the session that the clients' records below a run folder hold.

    Raises
    ------
    SchemaError
        A client's record or key is missing.
    RecordSealError
        One was changed or cut short.
    RecordMismatchError
        They belong to different runs, sessions or policies.
    RemoteProtocolError
        A client opened another seed than it committed to.
    """
    records: list[Record] = []
    for party in policy.clients:
        home = folder / "clients" / party
        if not (home / "session.h5").is_file() or not (home / SEAL_KEY_FILE).is_file():
            raise SchemaError(
                f"{home} lacks session.h5 or seal.key: the clients' records are needed beside the server's tags",
                hint="analyse the run where the clients are; the server's files alone tell no result",
            )
        session = records[0].session if records else ""
        key = (home / SEAL_KEY_FILE).read_bytes()
        records.append(
            read_record(home / "session.h5", key, kind=SESSION, session=session, run_id=run_id, owner=str(party))
        )
    _require_agreement(records, policy)
    return _joined(records, policy)


def _require_agreement(records: Sequence[Record], policy: BqcPolicy) -> None:
    expected = public_header(policy)
    first = records[0]
    for record in records:
        wrong = [name for name, value in expected.items() if record.header.get(name) != value]
        if wrong:
            raise RecordMismatchError(
                f"the record of {record.owner} was made under another policy: {', '.join(wrong)} differ",
                hint="use the link file that the run carries",
            )
        same = all(
            np.array_equal(record.column("public", name), column) for name, column in first.groups["public"].items()
        )
        if not same or record.header["commitments"] != first.header["commitments"]:
            raise RecordMismatchError(f"the records of {first.owner} and {record.owner} tell different stories")


def _joined(records: Sequence[Record], policy: BqcPolicy) -> Session:
    graph = graph_of(policy.graph)
    kinds = kinds_of(graph, policy.tests)
    first = records[0]
    commitments: dict[str, str] = dict(first.header["commitments"])
    secret = {record.owner: record.groups[f"{record.owner}_secret"] for record in records}
    openings = {
        name: Opening(own["order_seed"].tobytes(), own["order_nonce"].tobytes()) for name, own in secret.items()
    }
    for name, opening in openings.items():
        require_opening(opening, bytes.fromhex(commitments[name]), first.session, name)
    settings = {name: own["setting"] for name, own in secret.items()}
    head = next(iter(settings.values()))
    public = first.groups["public"]
    _require_shapes(public, settings, graph.size)
    return Session(
        name=first.session,
        openings=openings,
        commitments=commitments,
        batch=public["batch"],
        rounds=public["round"],
        round_types=round_types(
            joined_seed(list(openings.values())),
            computations=policy.computation_rounds,
            tests=policy.test_rounds,
            kinds=len(kinds),
        ),
        phi=added([own["phi"] for own in secret.values()]),
        secrets=secret,
        theta=added([np.where(column < DUMMY, column, 0).astype(np.uint8) for column in settings.values()]),
        flips=np.bitwise_xor.reduce([own["r"] for own in secret.values()]),
        dummy_bits=np.where(head >= DUMMY, head & np.uint8(1), 0).astype(np.uint8),
        is_dummy=head >= DUMMY,
        delta=public["delta"],
        sent_ps=public["sent_ps"],
        told=public["b_received"],
        arrived=public["arrived"],
    )


def _require_shapes(public: Mapping[str, Column], settings: Mapping[str, Column], n: int) -> None:
    attempts = public["round"].size
    columns = [*settings.values(), *(public[name] for name in ("delta", "sent_ps", "b_received", "arrived"))]
    if any(column.shape != (attempts, n) for column in columns) or public["batch"].size != attempts:
        raise SchemaError("the columns of a client's record differ in length", hint="the record is damaged")
