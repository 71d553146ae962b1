"""What an operator on the same machine may ask a running site, over a Unix socket of mode 0600: numbers, never keys."""

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from faintlink.core.errors import AuditError, ConfigError, FaintlinkError
from faintlink.delivery.keystore.model import Pool, Stock
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.kme.approving import apply
from faintlink.delivery.kme.asking import socket_path
from faintlink.delivery.kme.backing import write
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.site import Site
from faintlink.delivery.witness import Event, Fact

_TOLD: Final = frozenset({Event.ENROLLED, Event.REVOKED})
"""What commands may have noted; everything else the site notes of its own accord."""


async def serve_admin(site: Site) -> web.AppRunner:
    """Answer ``GET /status``, ``POST /compare``, ``/note``, ``/backup`` and ``/trust``.

    The caller cleans the runner up.

    Raises
    ------
    ConfigError
        The socket cannot be made.
    """
    app = web.Application()
    app.router.add_get("/status", partial(_status, site))
    app.router.add_post("/compare", partial(_compare, site))
    app.router.add_post("/note", partial(_note, site))
    app.router.add_post("/backup", partial(_back_up, site))
    app.router.add_post("/trust", partial(_trust, site))
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


async def _note(site: Site, request: web.Request) -> web.Response:
    try:
        said = json.loads(await request.read())
        fact = Fact(Event(said["event"]), str(said["subject"]), dict(said["about"]))
        if fact.event not in _TOLD:
            raise ValueError(f"{fact.event} is not told from outside")
    except (ValueError, TypeError, KeyError) as error:
        return _refusal(400, ConfigError(f"this cannot be noted: {error}", hint="use commands of the site's version"))
    try:
        await site.thread.run(partial(site.parts.witness.note, fact))
    except FaintlinkError as error:
        return _refusal(503, error)
    return web.json_response({})


async def _back_up(site: Site, request: web.Request) -> web.Response:
    store, witness = site.parts.store, site.parts.witness
    try:
        said = json.loads(await request.read())
        to, by = Path(said["to"]), str(said["by"])
        if not isinstance(store, SqlKeyStore) or not to.is_absolute():
            raise ValueError("the store keeps no records, or no whole path is named")
        done = await site.thread.run(partial(write, store, witness, to, by=by))
    except (ValueError, TypeError, KeyError) as error:
        return _refusal(400, ConfigError(f"there is no backup: {error}", hint="use commands of the site's version"))
    except FaintlinkError as error:
        return _refusal(503 if isinstance(error, AuditError) else 409, error)
    return web.json_response({"rows": done.rows, "sha256": done.sha256})


async def _trust(site: Site, request: web.Request) -> web.Response:
    try:
        said = json.loads(await request.read())
        change, approvals = str(said["change"]).encode(), [str(one).encode() for one in said["approvals"]]
        done = await site.thread.run(partial(apply, site.folder, site.parts.witness, change, approvals))
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, FaintlinkError):
            return _refusal(400, error)
        return _refusal(400, ConfigError(f"this is no change: {error}", hint="use commands of the site's version"))
    except FaintlinkError as error:
        return _refusal(503 if isinstance(error, AuditError) else 409, error)
    return web.json_response({"officers": done.officers, "changes": done.changes})


def _refusal(status: int, error: FaintlinkError) -> web.Response:
    return web.json_response({"message": error.message, "hint": error.hint}, status=status)
