"""One run of a blind computation: the server's tags into a run file, the clients' secrets into their sealed records.

`take_bqc_run` is what the command calls. The run is a `Run` whose stream of tags ends with the last round instead of
after a time; everything else (preflight, writer process, seal) is as in any other run.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faintlink.acquisition.bqc_play import BqcServer, Played, play
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.launch import RunPlan, terminate_as_interrupt
from faintlink.acquisition.preflight import Station
from faintlink.acquisition.report import RunReport
from faintlink.acquisition.run import Progress, Run
from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_link, parse_yaml
from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import ConfigError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import Slots
from faintlink.postprocess.bqc.clients import Client, added
from faintlink.postprocess.bqc.graph import EXAMPLES, STEPS, Angles, graph_of
from faintlink.postprocess.bqc.planning import require_certain, require_sound
from faintlink.postprocess.bqc.records import write_session
from faintlink.postprocess.qkd.live import LiveSummary, RateMeter

_log = logging.getLogger(__name__)


class BqcLive:
    """Live figures of a blind computation: rates only, since the clients' rounds are their secret."""

    def __init__(self) -> None:
        self._meter = RateMeter()

    def feed(self, party: Party, block: TagBlock) -> Slots:  # noqa: ARG002 - one receiver only
        """Count the next block; no settings are wanted."""
        self._meter.feed(block)
        return np.empty(0, np.int64)

    def account(self, slots: Slots, codes: Any) -> None:
        """Take nothing: there is no sender to ask."""

    def finish(self) -> Slots:
        """Want nothing more."""
        return np.empty(0, np.int64)

    def summary(self) -> LiveSummary:
        """Return the figures of this moment."""
        return LiveSummary(tags=self._meter.tags, lost=self._meter.lost, state="computing blindly")


class BqcRun(Run):
    """A run that ends with its last round.

    Parameters
    ----------
    link, station, out, context
        As for `Run`.
    shares
        Each client's share of the computation's angles, (n,) uint8, in the order of the policy's clients.
    entropy
        Of the clients.
    """

    def __init__(
        self,
        link: LinkConfig,
        station: Station,
        out: Path,
        *,
        context: Mapping[str, str],
        shares: Sequence[Angles],
        entropy: Entropy,
    ) -> None:
        super().__init__(link, station, out, analysis=BqcLive(), context=context)
        self._policy = policy_of(link)
        self._shares = shares
        self._entropy = entropy
        self._table = station
        self.session = secrets.token_hex(8)

    def preflight(self, duration_s: float | None = None) -> None:
        """Check also that the instruments of clients and server can do what a session asks of them.

        Raises
        ------
        ConfigError, RunfileError
            As `Run.preflight`, or an instrument lacks a method.
        """
        policy = self._policy
        needed: list[tuple[str, str, tuple[str, ...]]] = [
            ("server", policy.server, ("entangle_by", "prepare", "measure")),
            *((f"senders: {party}", name, ("load", "transmit")) for party, name in policy.senders.items()),
        ]
        faults = [
            f"bqc: {where}: {name} lacks {method}()"
            for where, name, methods in needed
            for method in methods
            if not callable(getattr(self._table.component(name), method, None))
        ]
        if faults:
            raise ConfigError(
                f"link {self._link.name} does not fit its station:\n" + "\n".join(f"  {fault}" for fault in faults),
                hint="name instruments as described in faintlink.acquisition.bqc_play",
                faults=faults,
            )
        super().preflight(duration_s)

    def stream(self, progress: Progress | None = None) -> None:
        """Play the session, then leave the clients' records in the run folder.

        Raises
        ------
        FaintlinkError
            An instrument, the server or the writer failed. `stop` and `seal` still save what there is.
        """
        self._enter("armed", "armed")
        policy = self._policy
        clients = [
            Client(party, share, self._entropy) for party, share in zip(policy.clients, self._shares, strict=True)
        ]
        cards = {str(party): self._table.component(name) for party, name in policy.senders.items()}
        server = BqcServer(policy, self._table.component(policy.server))
        played = play(policy, self.session, clients, cards, server, lambda _: self._look(progress))
        self._write(clients, played)

    def _look(self, progress: Progress | None) -> None:
        self._check()
        status = self.status()
        self._must_watch().look(status)
        if progress is not None:
            progress(status)

    def _write(self, clients: Sequence[Client], played: Played) -> None:
        if played.rounds_left:
            self._must_watch().warn(f"{played.rounds_left} rounds have no whole attempt; attempts are used up")
        for client in clients:
            write_session(
                self.folder / "clients" / client.party,
                self._policy,
                run_id=self.run_id,
                session=self.session,
                party=client.party,
                commitments=played.commitments,
                public=played.public,
                secret=client.secrets(),
            )


def policy_of(link: LinkConfig) -> BqcPolicy:
    """Return the section ``bqc``.

    Raises
    ------
    ConfigError
        There is none.
    """
    if link.bqc is None:
        raise ConfigError("the link file lacks the section 'bqc'", hint="see lab_configs/bqc.link.yaml")
    return link.bqc


def take_bqc_run(
    link_file: Path,
    out: Path,
    *,
    angles: Sequence[Sequence[int]] | None = None,
    changes: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    entropy: Entropy | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Take a run of a blind computation on the station that the link file names.

    Parameters
    ----------
    link_file, out
        The link file, and the new run folder.
    angles
        Each client's share of the angles, by vertex, in steps of pi/4; one of the graph's examples, drawn by the
        clients, if None.
    changes
        Entries of the section ``bqc`` to replace, as YAML holds them; they go into the run's link text.
    settings
        Station parameters to set first.
    entropy
        Of the clients; the operating system's by default.
    progress
        As for `Run`.

    Raises
    ------
    ConfigError
        A file is wrong, the threshold proves nothing, the computation errs more often than the policy says, or link
        and station do not fit.
    FaintlinkError
        As `Run.execute`.
    """
    from faintlink.instruments.station import open_station

    text, link = changed_link(link_file, changes or {})
    policy, source = policy_of(link), entropy or OsEntropy()
    require_sound(policy)
    shares = shares_of(policy, angles, source)
    require_certain(policy, added(shares))
    plan = RunPlan(link_file, text, link, {})
    with open_station(plan.station_file) as station, terminate_as_interrupt():
        turn(station, settings or {})
        with BqcRun(link, station, out, context=plan.context(station), shares=shares, entropy=source) as run:
            return run.execute(progress=progress)


def changed_link(link_file: Path, changes: Mapping[str, Any]) -> tuple[str, LinkConfig]:
    """Return a link file's text and meaning with entries of its section ``bqc`` replaced."""
    text, link = parse_link(link_file)
    if not changes:
        return text, link
    data = yaml.safe_load(text)
    data["bqc"] = {**data["bqc"], **changes}
    text = yaml.safe_dump(data, sort_keys=False)
    return text, parse_yaml(text, LinkConfig, f"{link_file} with {', '.join(changes)} changed")


def shares_of(policy: BqcPolicy, angles: Sequence[Sequence[int]] | None, entropy: Entropy) -> list[Angles]:
    """Return each client's share of the computation's angles.

    Raises
    ------
    ConfigError
        Their number or length is wrong, an angle is not 0..7, or a graph of one's own comes without angles.
    """
    n, count = graph_of(policy.graph).size, len(policy.clients)
    if angles is None:
        if not isinstance(policy.graph, str):
            raise ConfigError("a graph of one's own needs angles", hint="give --angles, one list for each client")
        examples = EXAMPLES[policy.graph]
        angles = _split(examples[entropy.draw(1, "bqc example")[0] % len(examples)], count)
    if len(angles) != count or any(len(own) != n or not all(0 <= a < STEPS for a in own) for own in angles):
        raise ConfigError(
            f"{count} clients need {n} angles each, 0..{STEPS - 1} in steps of pi/4", hint="correct --angles"
        )
    return [np.array(own, np.uint8) for own in angles]


def _split(angles: Sequence[int], count: int) -> list[list[int]]:
    """Deal the angles of the vertices out to the clients in turn, so that each holds a part of the computation."""
    return [[angle if at % count == own else 0 for at, angle in enumerate(angles)] for own in range(count)]
