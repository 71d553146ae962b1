"""Records of a token: what the bank issued, what the user holds, what was presented and decided, the certificate.

``bank/`` and ``user/`` each hold their party's records and the key of their seals. `verify` judges presentations
again from records alone, by another way than the agents: columns of bits and the shared verifier.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.errors import RecordMismatchError, RecordReplayedError, SchemaError
from faintlink.core.recordfile import Column, Record, fresh_seal_key, read_record, write_record
from faintlink.core.units import Bits
from faintlink.postprocess.conjugate.verifier import Verdict, compare
from faintlink.postprocess.tokens.agents import commitment
from faintlink.postprocess.tokens.issue import Held, TokenBank, unpacked
from faintlink.postprocess.tokens.messages import NONCE_BYTES, Holding, Kind
from faintlink.postprocess.tokens.network import Presented

BANK, USER = "bank", "user"
ISSUE, HOLD, PRESENTATION, VERDICT, CERTIFICATE = (
    "token-issue",
    "token-hold",
    "token-presentation",
    "token-verdict",
    "token-certificate",
)


def party_folder(folder: Path, party: str) -> tuple[Path, bytes]:
    """Make a party's folder with a fresh seal key, and return both."""
    home = folder / party
    home.mkdir(mode=0o700)
    return home, fresh_seal_key(home)


def issue_record(policy: TokenPolicy, bank: TokenBank, run_id: str, facts: dict[str, Any]) -> Record:
    """Return the bank's record of an issue; ``facts`` join the policy in its header."""
    count = policy.positions
    public: dict[str, Column] = {
        "slots": np.stack([sent.slots for sent in bank.issued]),
        "offsets": np.stack([unpacked(part, count) for part in bank.offsets]),
        "commitments": np.stack([np.frombuffer(part, np.uint8) for part in bank.commitments]),
    }
    secret: dict[str, Column] = {
        "bit": np.stack([sent.bit for sent in bank.issued]),
        "basis": np.stack([sent.basis for sent in bank.issued]),
    }
    header = {"policy": policy.model_dump(), **facts}
    return Record(ISSUE, bank.session.hex(), run_id, BANK, header, {"public": public, "bank_secret": secret})


def hold_record(policy: TokenPolicy, held: Sequence[Held], session: str, run_id: str, point: int) -> Record:
    """Return the user's record: its bases, outcomes, masks and the point it chose."""
    columns: dict[str, Column] = {
        "basis": np.stack([copy.basis for copy in held]),
        "bit": np.stack([copy.bit for copy in held]),
        "mask": np.array([copy.mask for copy in held], np.uint8),
        "nonces": np.stack([np.frombuffer(copy.nonce, np.uint8) for copy in held]),
        "point": np.array([point], np.uint8),
    }
    public: dict[str, Column] = {"slots": np.stack([copy.slots for copy in held])}
    groups = {"public": public, "user_secret": columns}
    return Record(HOLD, session, run_id, USER, {"policy": policy.model_dump()}, groups)


def presentation_record(presented: Presented, session: str, run_id: str, choice: int) -> Record:
    """Return what a bank's agent received."""
    decision = presented.decision
    shown = Holding.decode(presented.shown, Kind.PRESENTATION)
    header = {
        "point": decision.point,
        "choice": choice,
        "agent": f"bank@{decision.point}",
        "arrival_ns": decision.arrival_ns,
    }
    columns = {
        "outcomes": np.stack([unpacked(part, shown.positions) for part in shown.outcomes]),
        "nonces": np.stack([np.frombuffer(part, np.uint8) for part in shown.nonces]),
    }
    return Record(PRESENTATION, session, run_id, BANK, header, {"bank": columns})


def verdict_record(presented: Presented, session: str, run_id: str, max_error_rate: float) -> Record:
    """Return what a bank's agent decided."""
    decision = presented.decision
    header = {
        "point": decision.point,
        "accepted": decision.is_accepted,
        "reason": decision.reason.name.lower(),
        "checked": [bits for bits, _ in decision.counts],
        "errors": [errors for _, errors in decision.counts],
        "max_error_rate": max_error_rate,
        "validation_ns": decision.validation_ns,
        "round_ns": presented.round_ns,
    }
    return Record(VERDICT, session, run_id, BANK, header)


def verify_records(issue: Record, presentations: Sequence[Record]) -> list[list[Verdict]]:
    """Judge presentations again and return the verdict of each copy of each.

    Raises
    ------
    RecordMismatchError
        A presentation is of another session, or its outcomes are not those that were committed to.
    RecordReplayedError
        Two presentations at one point.
    SchemaError
        A record lacks what its kind should hold.
    """
    seen: set[int] = set()
    verdicts = []
    for shown in presentations:
        if shown.session != issue.session:
            raise RecordMismatchError(f"a presentation of session {shown.session}, the issue is {issue.session}")
        point, choice = _small(shown, "point"), _small(shown, "choice")
        if point in seen:
            raise RecordReplayedError(f"the token was presented twice at point {point}", hint="only the first counts")
        seen.add(point)
        verdicts.append(_judge(issue, shown, point, choice))
    return verdicts


def _small(record: Record, name: str) -> int:
    value = record.header.get(name)
    if not isinstance(value, int) or not 0 <= value < 64:
        raise SchemaError(f"a record {record.kind} has no {name} in 0..63")
    return value


def _judge(issue: Record, shown: Record, point: int, choice: int) -> list[Verdict]:
    policy = TokenPolicy.model_validate(issue.header.get("policy"))
    outcomes, nonces = shown.column("bank", "outcomes"), shown.column("bank", "nonces")
    bits, bases = issue.column("bank_secret", "bit"), issue.column("bank_secret", "basis")
    offsets, commitments = issue.column("public", "offsets"), issue.column("public", "commitments")
    if outcomes.shape != bits.shape or bits.shape != (policy.point_bits, policy.positions):
        raise RecordMismatchError(f"outcomes of shape {outcomes.shape} for a token of shape {bits.shape}")
    verdicts = []
    for copy in range(policy.point_bits):
        _check_commitment(nonces[copy], offsets[copy], outcomes[copy], commitments[copy])
        measured = offsets[copy] ^ np.uint8((choice ^ point) >> copy & 1)
        counted = measured == bases[copy]
        verdicts.append(compare(outcomes[copy], bits[copy], counted, max_error_rate=policy.max_error_rate))
    return verdicts


def _check_commitment(nonce: Bits, offsets: Bits, outcomes: Bits, expected: Bits) -> None:
    if nonce.size not in (0, NONCE_BYTES):
        raise SchemaError(f"a nonce has {NONCE_BYTES} bytes, got {nonce.size}")
    packed = np.packbits(offsets).tobytes(), np.packbits(outcomes).tobytes()
    if commitment(nonce.tobytes(), *packed) != expected.tobytes():
        raise RecordMismatchError("the outcomes presented are not those that were committed to at the issue")


def verify_files(issue: Path, presentations: Sequence[Path], key: bytes) -> list[list[Verdict]]:
    """Read the bank's records, check their seals, and judge as `verify_records`."""
    issued = read_record(issue, key, kind=ISSUE, owner=BANK)
    shown = [
        read_record(path, key, kind=PRESENTATION, session=issued.session, run_id=issued.run_id, owner=BANK)
        for path in presentations
    ]
    return verify_records(issued, shown)


def write_all(home: Path, key: bytes, records: Sequence[Record]) -> None:
    """Write records by kind, numbered where a kind comes more than once."""
    kinds = [record.kind for record in records]
    for at, record in enumerate(records):
        number = f"-{kinds[:at].count(record.kind)}" if kinds.count(record.kind) > 1 else ""
        write_record(home / f"{record.kind}{number}.h5", record, key)
