"""What an operator on the same machine may ask a running site, over a Unix socket of mode 0600: numbers, never keys."""

import json
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from faintlink.core.errors import ConfigError, FaintlinkError, PeerUnavailableError
from faintlink.delivery.keystore.model import Pool, Stock
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.site import Site

_LONGEST = 100
"""Bytes of a path that every system takes for a Unix socket."""


async def serve_admin(site: Site) -> web.AppRunner:
    """Answer ``GET /status`` and ``POST /compare``; the caller cleans the runner up.

    Raises
    ------
    ConfigError
        The socket cannot be made.
    """
    app = web.Application()
    app.router.add_get("/status", partial(_status, site))
    app.router.add_post("/compare", partial(_compare, site))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    path = socket_path(site.folder, site.config.admin_socket)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"no socket can be made at {path}: {error}", hint="name another admin_socket") from None
    finally:
        os.umask(before)
    return runner


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


async def report(site: Site) -> dict[str, Any]:
    """Return how a site fares."""
    store = site.parts.store
    stock = await site.thread.run(store.stock)
    return {
        "site": site.config.site,
        "up_s": round(time.monotonic() - site.started, 1),
        "applications": len(site.config.own),
        "peers": {
            name: {
                **_line(line),
                "units": {pool.value: stock.get((name, pool), Stock(0, 0)).units for pool in Pool},
                "keys_waiting": len(await site.thread.run(partial(store.waiting, name))),
            }
            for name, line in site.lines.items()
        },
    }


def _line(line: PeerLine) -> dict[str, Any]:
    state = line.state
    compared = state.last_compared
    return {
        "is_up": state.is_up,
        "problem": state.problem,
        "compared_s_ago": None if compared is None else round(time.monotonic() - compared, 1),
        "comparisons": state.comparisons,
        "last_differences": state.last.divergence if state.last else None,
        "keys_in_agreement": len(line.busy),
    }


async def _status(site: Site, _: web.Request) -> web.Response:
    return web.json_response(await report(site))


async def _compare(site: Site, _: web.Request) -> web.Response:
    for line in site.lines.values():
        try:
            await line.compare()
        except FaintlinkError as error:
            line.down(error)
    return web.json_response(await report(site))


def ask(folder: Path, name: str, request: str = "GET /status", *, within_s: float = 10.0) -> dict[str, Any]:
    """Return what a running site answers to ``request``.

    Raises
    ------
    PeerUnavailableError
        It does not run, or does not answer.
    """
    path = socket_path(folder, name)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(within_s)
            line.connect(str(path))
            line.sendall(f"{request} HTTP/1.0\r\nHost: kme\r\nContent-Length: 0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: line.recv(1 << 16), b""))
        answered: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError) as error:
        raise PeerUnavailableError(
            f"the site in {folder} does not answer: {error}", hint=f"start it with `faintlink kme serve {folder}`"
        ) from None
    return answered
