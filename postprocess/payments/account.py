"""What client and bank share of a session, as a small file beside the client's recording.

The command that records a run draws it before the first pulse, since the receiver is driven by it. It is as secret as
the client's secret C that it holds; ``run/client.json`` has mode 0600.

Sources: own design.
"""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faintlink.core.runfile.folder import Run
from faintlink.postprocess.conjugate.beside import read_beside, write_beside
from faintlink.postprocess.payments.messages import SESSION_BYTES
from faintlink.postprocess.payments.parties import SECRET_BYTES, basis_seed

FILE_NAME = "client.json"
_FORMAT = "faintlink-payment-client/1"


@dataclass(frozen=True, slots=True)
class Account:
    """One session of one client."""

    session: bytes
    secret: bytes = field(repr=False)
    """C, shared by client and bank."""
    merchant: str
    """Whom the client is going to pay; the bank learns it with the request."""

    @property
    def seed(self) -> bytes:
        """Seed of the bases that the receiver is driven by."""
        return basis_seed(self.secret, self.session, self.merchant)

    def write(self, folder: Path) -> None:
        """Write the file into the run's folder, which may not hold one."""
        data = {"session": self.session.hex(), "secret": self.secret.hex(), "merchant": self.merchant}
        write_beside(folder, FILE_NAME, _FORMAT, data)


def fresh_account(merchant: str) -> Account:
    """Return a session with fresh secrets of the operating system."""
    return Account(secrets.token_bytes(SESSION_BYTES), secrets.token_bytes(SECRET_BYTES), merchant)


def account_of(run: Run) -> Account:
    """Return the session of a run, from beside the receiver's file.

    Raises
    ------
    SchemaError
        There is no such file, or it is damaged.
    """
    hint = "`faintlink payment --mock` leaves it beside the run; a payment cannot be verified without it"
    return read_beside(run, FILE_NAME, _FORMAT, _account, what="session of a payment", hint=hint)


def _account(data: dict[str, Any]) -> Account:
    session, secret = bytes.fromhex(data["session"]), bytes.fromhex(data["secret"])
    if (len(session), len(secret)) != (SESSION_BYTES, SECRET_BYTES):
        raise ValueError("session or secret have another length")
    return Account(session, secret, str(data["merchant"]))
