"""The part of ``kme.yaml`` that puts a site's keys into a PostgreSQL database instead of a file."""

import ipaddress
import re
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from faintlink.core.config.models import Positive, StrictModel
from faintlink.delivery.keystore.postgres_database import ANSWER_WITHIN_S

_SETTING = re.compile(r"\s*([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)+)(?=\s|$)")
_ALLOWED = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "connect_timeout", "tcp_user_timeout", "channel_binding"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version"),
        *("gssencmode", "krbsrvname", "target_session_attrs"),
    )
)
"""Of libpq's parameters those that hold no password, lead to none, and change nothing of how a session works."""
_VERIFIED = ("verify-ca", "verify-full")


class PostgresStore(StrictModel):
    """A database of a PostgreSQL server that holds the site's sealed keys."""

    address: str
    """Connection string of libpq: ``name=value`` parted by blanks, without a password."""
    password_file: str | None = None
    """libpq's password file (``host:port:database:user:password``), mode 0600; PGPASSFILE or ~/.pgpass without it."""
    db_schema: Annotated[str | None, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = None
    """Schema of this site alone; the first one of the user's search path without it."""
    answer_within_s: Positive = ANSWER_WITHIN_S
    """A server that takes longer for a statement counts as gone."""
    start_within_s: Annotated[float, Field(ge=0.0)] = 20.0
    """How long a site that starts waits for a server that does not answer."""
    look_every_s: Positive = 1.0
    """How often a server is asked whether it is there, and one that is gone whether it is back."""

    # Of the whole section: a fault of one field would be told with what the field holds.
    @model_validator(mode="before")
    @classmethod
    def _has_no_password(cls, section: Any) -> Any:
        if isinstance(section, dict) and any("pass" in str(name) for name in section.keys() - {"password_file"}):
            raise ValueError("a password belongs in password_file, the file of libpq, and not here")
        return section

    @model_validator(mode="after")
    def _reaches_a_server_that_is_known(self) -> Self:
        settings = settings_of(self.address)
        unknown = sorted(set(settings) - _ALLOWED)
        if unknown:
            raise ValueError(f"address: {', '.join(unknown)} may not stand here; a password belongs in password_file")
        if "dbname" not in settings or "user" not in settings:
            raise ValueError("address: dbname and user must be named")
        if not _is_on_this_machine(settings) and settings.get("sslmode") not in _VERIFIED:
            raise ValueError("address: a server on another machine needs sslmode=verify-full (and sslrootcert)")
        return self


def settings_of(address: str) -> dict[str, str]:
    """Return the parameters in a connection string.

    Raises
    ------
    ValueError
        It is none. The message does not show it: there might be a password in it.
    """
    settings: dict[str, str] = {}
    at = 0
    while address[at:].strip():
        found = _SETTING.match(address, at)
        if found is None or found[1] in settings:
            raise ValueError("address: must be name=value parted by blanks, each name once; URIs are not taken")
        value = found[2][1:-1] if found[2].startswith("'") else found[2]
        settings[found[1]] = re.sub(r"\\(.)", r"\1", value)
        at = found.end()
    return settings


def _is_on_this_machine(settings: dict[str, str]) -> bool:
    hosts = (settings.get("hostaddr") or settings.get("host") or "/").split(",")
    return all(host.startswith(("/", "@")) or host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
