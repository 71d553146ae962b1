"""``faintlink node``: two machines, one key over an authenticated channel."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faintlink.postprocess.node.events import BlockEnded

_RUN = click.option(
    "--run", "run", required=True, type=click.Path(path_type=Path), help="Run folder, or this node's own file of it."
)
_HOME = click.option("--home", required=True, type=click.Path(path_type=Path), help="This node's folder, from init.")
_FOLLOW = click.option("--follow", is_flag=True, help="The run is still being recorded: distil it as it grows.")
_BARE = click.option("--bare", is_flag=True, help="No TLS; frames are authenticated all the same, but not hidden.")
_PORT = 7440


@click.group("node")
def node() -> None:
    """Distil keys between two machines: each reads its own party's data only."""


@node.command("init")
@click.argument("link_file", metavar="LINK", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for both homes.")
@click.option("--seals", default=1024, show_default=True, type=click.IntRange(16), help="First reserve, each way.")
def init(link_file: Path, out: Path, seals: int) -> int:
    """Make the homes of both nodes of the link in LINK: OUT/alice and OUT/bob.

    Each holds a reserve of one-time keys, a certificate and the peer's certificate. Carry one to the other site by
    hand and destroy it here: whoever has a copy can speak for its node.
    """
    from faintlink.core.config.loader import load_link
    from faintlink.postprocess.node.home import create_homes

    link = load_link(link_file)
    alice, bob = create_homes(out, link_id=link.name, seals=seals)
    click.echo(f"made {alice.folder} and {bob.folder}")
    click.echo("carry one of them to the other site by hand, and destroy it here")
    return 0


@node.command("alice")
@click.argument("link_file", metavar="LINK", type=click.Path(path_type=Path))
@_HOME
@_RUN
@_FOLLOW
@click.option("--listen", default=f"127.0.0.1:{_PORT}", show_default=True, help="HOST:PORT to listen on.")
@_BARE
def alice(link_file: Path, home: Path, run: Path, listen: str, *, follow: bool, bare: bool) -> int:
    """Be the sender of the link in LINK: answer the other node until all blocks are done.

    Exit code 4 says that no block gave a key.
    """
    return _run("alice", link_file, home, run, listen, follow=follow, bare=bare)


@node.command("bob")
@click.argument("link_file", metavar="LINK", type=click.Path(path_type=Path))
@_HOME
@_RUN
@_FOLLOW
@click.option("--connect", default=f"127.0.0.1:{_PORT}", show_default=True, help="HOST:PORT of the other node.")
@_BARE
def bob(link_file: Path, home: Path, run: Path, connect: str, *, follow: bool, bare: bool) -> int:
    """Be the receiver of the link in LINK: call the other node and distil block by block.

    Exit code 4 says that no block gave a key.
    """
    return _run("bob", link_file, home, run, connect, follow=follow, bare=bare)


def _run(party: str, link_file: Path, home: Path, run: Path, address: str, *, follow: bool, bare: bool) -> int:
    from faintlink.core.config.loader import load_link
    from faintlink.core.symbols import Party
    from faintlink.postprocess.node.home import NodeHome
    from faintlink.postprocess.node.running import Task, run_node

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{address!r} is not HOST:PORT")
    task = Task(
        NodeHome.open(home, Party(party)),
        load_link(link_file),
        run,
        follow=follow,
        host=host.strip("[]"),
        port=int(port),
        is_bare=bare,
    )
    keys = run_node(task, on_block=_tell, on_listening=lambda number: click.echo(f"listening on {host}:{number}"))
    return 0 if keys else 4


def _tell(ended: "BlockEnded") -> None:
    from faintlink.postprocess.node.running import block_facts

    facts = block_facts(ended)
    if facts.get("key_bits"):
        click.echo(
            f"block {facts['block']}: {facts['key_bits']:,} secret bits of {facts['sifted_bits']:,} sifted, "
            f"QBER {facts['qber_key']:.2%}, epsilon {facts['epsilon']:.3g}, key {facts['key_id']}"
        )
    else:
        click.echo(f"block {facts['block']}: no key, {facts.get('refusal')}: {facts.get('reason')}")
