"""Put a node together from its home, link file and run, and run it to the end. What ``faintlink node`` calls."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.core import __version__
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import SIMULATION, PartyRecording
from faintlink.core.runfile.manifest import file_sha256
from faintlink.core.symbols import Party
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.events import BlockEnded
from faintlink.postprocess.node.feeds import BobFeed, alice_answers, own_recording
from faintlink.postprocess.node.home import NodeHome
from faintlink.postprocess.node.loop import Line, NodeLoop
from faintlink.postprocess.node.session import NodeSession

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What a node is to do."""

    home: NodeHome
    """Its folder."""
    link: LinkConfig
    """The link, the same on both sides."""
    run: Path
    """Run folder, or the node's own file."""
    follow: bool
    """Whether the run is still being recorded."""
    host: str
    """To listen on, or to call."""
    port: int
    """0 lets the system choose."""
    is_bare: bool = False
    """Without TLS: frames are authenticated all the same, but not hidden."""


def run_node(
    task: Task, *, on_block: Callable[[BlockEnded], None], on_listening: Callable[[int], None] | None = None
) -> int:
    """Run a node until both sides are done, and return the number of keys that were made.

    Parameters
    ----------
    task
        What to do.
    on_block
        Called with each block that ended.
    on_listening
        Alice's: told the port.

    Raises
    ------
    ConfigError
        The link's policy does not allow for authentication, or the home is the other party's.
    FaintlinkError
        The run cannot be read, or sessions failed too often.
    """
    _heed(task.link)
    recording = own_recording(task.run, task.home.party, follow=task.follow)
    origin = recording.context.get("origin", "unknown")
    about = {
        "run_id": recording.header.run_id,
        "run_files_sha256": _files_digest(recording, follow=task.follow),
        "recorded_by": recording.header.software_version,
        "distilled_by": __version__,
        "link": task.link.name,
        "link_sha256": config_sha256(task.link),
        "origin": origin,
        "usable": origin != SIMULATION and task.link.security.monitors.vetoes,
    }
    channel = task.link.channel
    reserve = task.home.reserve(floor=channel.floor_seals)
    journal = task.home.journal(recording.header.run_id)
    with reserve:
        custody = Custody(task.home.store(), reserve, refill_slots=channel.refill_seals, about=about)
        is_alice = task.home.party is Party.ALICE
        answer = alice_answers(recording, task.link, custody, OsEntropy()) if is_alice else None

        def new_session() -> NodeSession:
            return NodeSession(
                task.home.party,
                link_sha256=bytes.fromhex(about["link_sha256"]),
                reserve=reserve,
                custody=custody,
                journal=journal,
                eps_auth=task.link.security.eps_auth,
                answer_block=answer,
                offloads=True,
            )

        kept = _Report(task.home.folder / "journals" / f"{recording.header.run_id}.jsonl", on_block)
        loop = NodeLoop(
            Line(task.host, task.port, None if task.is_bare else task.home.tls(), channel.timeout_s),
            new_session,
            feed=None if is_alice else BobFeed(recording, task.link, custody),
            blocks_in_flight=channel.blocks_in_flight,
            on_block=kept.note,
        )
        asyncio.run(loop.listen(on_listening or _say_port) if is_alice else loop.call())
    return kept.keys


def _files_digest(recording: PartyRecording, *, follow: bool) -> str:
    """Return what names the recording for good, so that a key can be traced to it: one digest over its files'.

    A run that is followed has none yet; its manifest has each file's once it is sealed.
    """
    if follow:
        return ""
    digests = "".join(file_sha256(path) for path in recording.paths)
    return hashlib.sha256(digests.encode()).hexdigest() if len(recording.paths) > 1 else digests


def _heed(link: LinkConfig) -> None:
    if link.security.eps_auth <= 0.0:
        raise ConfigError(
            f"link {link.name} leaves nothing for the authentication of the classical channel",
            hint="set security: eps_auth, for example to 1e-20, in the link files of both nodes",
        )


class _Report:
    """Writes one line of JSON for each block that ended, without anything of its key."""

    def __init__(self, path: Path, on_block: Callable[[BlockEnded], None]) -> None:
        self._path = path
        self._on_block = on_block
        self.keys = 0

    def note(self, ended: BlockEnded) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(block_facts(ended)) + "\n")
        self.keys += ended.settled is not None and ended.settled.key is not None
        self._on_block(ended)


def block_facts(ended: BlockEnded) -> dict[str, Any]:
    """Return what may be told of a block that ended."""
    facts: dict[str, Any] = {"block": ended.number, "authentication": ended.auth_epsilon}
    if ended.refusal is not None:
        return {**facts, "key_bits": 0, "refusal": type(ended.refusal).__name__, "reason": ended.refusal.message}
    settled = ended.settled
    if settled is not None and settled.key is not None:
        counts = settled.counts
        facts |= {
            "key_id": settled.key.key_id,
            "key_bits": settled.key.bits,
            "sifted_bits": counts.key.bits,
            "qber_key": counts.key.rate,
            "qber_test": counts.test.rate,
            "epsilon": settled.ledger.total,
        }
    return facts


def _say_port(port: int) -> None:
    _log.info("listening on port %d", port)
