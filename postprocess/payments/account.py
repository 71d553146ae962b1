"""What client and bank share of a session, as a small file beside the client's recording.

The command that records a run draws it before the first pulse, since the receiver is driven by it. It is as secret as
the client's secret C that it holds; ``run/client.json`` has mode 0600.

Sources: own design.
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from faintlink.core.errors import RunExistsError, SchemaError
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party
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
        path = folder / FILE_NAME
        data = {
            "format": _FORMAT,
            "session": self.session.hex(),
            "secret": self.secret.hex(),
            "merchant": self.merchant,
        }
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                json.dump(data, file)
        except FileExistsError:
            raise RunExistsError(f"{path} exists; nothing was overwritten") from None


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
    path = Path(run[Party.BOB].paths[0]).parent / FILE_NAME
    try:
        data = json.loads(path.read_text())
        if data["format"] != _FORMAT:
            raise ValueError(f"format is {data['format']!r}")
        session, secret = bytes.fromhex(data["session"]), bytes.fromhex(data["secret"])
        merchant = str(data["merchant"])
        if (len(session), len(secret)) != (SESSION_BYTES, SECRET_BYTES):
            raise ValueError("session or secret have another length")
    except (OSError, ValueError, KeyError, TypeError) as error:
        # The text of the error must not show what the file holds.
        raise SchemaError(
            f"{path} holds no session of a payment ({type(error).__name__})",
            hint="`faintlink payment --mock` leaves it beside the run; a payment cannot be verified without it",
        ) from None
    return Account(session, secret, merchant)
