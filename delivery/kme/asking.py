"""Ask a running site over its Unix socket for operators; `faintlink.delivery.kme.admin` answers."""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faintlink.core.errors import AuditError, ConfigError, DeliveryError, PeerUnavailableError

_LONGEST = 100
"""Bytes of a path that every system takes for a Unix socket."""
_WITHIN_S = 10.0


def socket_path(folder: Path, name: str) -> Path:
    """Return where the socket is.

    Raises
    ------
    ConfigError
        Its path is too long for one.
    """
    path = (folder / name).absolute()
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigError(f"{path} is too long for a socket", hint="name a shorter admin_socket, such as /run/kme.sock")
    return path


def ask(folder: Path, name: str, request: str = "GET /status", *, within_s: float = _WITHIN_S) -> dict[str, Any]:
    """Return what a running site answers to ``request``.

    Raises
    ------
    PeerUnavailableError
        It does not run, or does not answer.
    """
    return _exchange(folder, name, request, b"", within_s)[1]


def post(folder: Path, name: str, path: str, said: Mapping[str, Any], *, within_s: float = _WITHIN_S) -> dict[str, Any]:
    """Tell a running site something and return its answer.

    Raises
    ------
    PeerUnavailableError
        It does not run, or does not answer.
    DeliveryError
        It refuses what it is told.
    AuditError
        It cannot note it.
    """
    status, answer = _exchange(folder, name, f"POST {path}", json.dumps(said).encode(), within_s)
    if status != 200:
        kind = AuditError if status == 503 else DeliveryError
        raise kind(f"the site in {folder}: {answer.get('message', status)}", hint=str(answer.get("hint", "")))
    return answer


def _exchange(folder: Path, name: str, request: str, body: bytes, within_s: float) -> tuple[int, dict[str, Any]]:
    path = socket_path(folder, name)
    head = f"{request} HTTP/1.0\r\nHost: kme\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(within_s)
            line.connect(str(path))
            line.sendall(head + body)
            answer = b"".join(iter(lambda: line.recv(1 << 16), b""))
        status = int(answer.split(b" ", 2)[1])
        answered: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError, IndexError) as error:
        raise PeerUnavailableError(
            f"the site in {folder} does not answer: {error}", hint=f"start it with `faintlink kme serve {folder}`"
        ) from None
    return status, answered
