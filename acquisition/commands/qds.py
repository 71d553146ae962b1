"""``faintlink qds``: plan, sign and verify documents with keys of two links, or rehearse all of it on mock links."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from faintlink.postprocess.signatures.parameters import Parameters

VARIANTS = ("block", "sequence")
ATTACKS = ("none", "forge-document", "alter-signature", "repudiate", "replay")
_PEER_BITS = 2**17


@click.group("qds", invoke_without_command=True)
@click.option("--mock", "is_mock", is_flag=True, help="Rehearse on two mock links: key, signature, verdicts.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="Who cheats, and how.")
@click.option("--variant", type=click.Choice(VARIANTS), default="block", show_default=True, help="Which scheme.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; qds-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def qds(context: click.Context, out: Path | None, attack: str, variant: str, *, is_mock: bool, as_json: bool) -> int:
    """Sign documents so that a receiver can convince a verifier, with distilled keys and no computational assumption.

    The home folder of the three parties holds signer/receiver, signer/verifier, receiver/signer, receiver/verifier,
    verifier/signer and verifier/receiver, each a folder of keys. Exit code 4: the document was refused.
    """
    if context.invoked_subcommand is not None:
        return 0
    if not is_mock:
        raise click.UsageError("give --mock, or one of plan, sign, verify")
    from faintlink.postprocess.results import new_folder

    folder = new_folder(out or default_folder("qds"), Path())
    for number, link in enumerate(("receiver", "verifier")):
        _mock_link(folder / f"link-{link}", folder / "homes", link, number)
    _preshared(folder / "homes")
    document = f"Rehearsal of a signature in {folder.name}.".encode()
    parameters = _parameters(variant, 8 * len(document), 1e-10)
    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.signatures.session import sign_document

    message = sign_document(document, parameters, folder / "homes", OsEntropy(), is_rehearsal=True)
    return _judge(message, folder / "homes", folder, attack, is_rehearsal=True, as_json=as_json)


@qds.command("plan")
@click.argument("message_bits", type=click.IntRange(8))
@click.option("--variant", type=click.Choice(VARIANTS), default="block", show_default=True, help="Which scheme.")
@click.option("--budget", type=click.FloatRange(0.0, 1.0, min_open=True), default=1e-10, show_default=True)
def plan(message_bits: int, variant: str, budget: float) -> int:
    """Print, as JSON, the parameters that spend the fewest shared bits on a document of MESSAGE_BITS bits."""
    import json

    from faintlink.postprocess.conjugate.tails import as_epsilon

    found = _parameters(variant, message_bits, budget)
    about = {
        "variant": str(found.variant),
        "message_bits": found.message_bits,
        "blocks": found.blocks,
        "hash_bits": found.hash_bits,
        "max_errors": found.max_errors,
        "tag_bits": found.tag_bits,
        "total_bits": round(found.total_bits, 3),
        "bits_of_each_link": found.link_bits,
        "eps_for": as_epsilon(found.eps_forge),
        "eps_rep": as_epsilon(found.eps_repudiate),
        "eps": as_epsilon(found.epsilon),
    }
    click.echo(json.dumps(about, indent=1))
    return 0


@qds.command("sign")
@click.argument("document", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--homes", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the signed document.")
@click.option("--variant", type=click.Choice(VARIANTS), default="block", show_default=True, help="Which scheme.")
@click.option("--budget", type=click.FloatRange(0.0, 1.0, min_open=True), default=1e-10, show_default=True)
@click.option("--rehearsal", "is_rehearsal", is_flag=True, help="Take keys that are marked unusable.")
def sign(document: Path, homes: Path, out: Path, variant: str, budget: float, *, is_rehearsal: bool) -> int:
    """Sign DOCUMENT with fresh keys of the signer; only HOMES/signer is read."""
    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.report.files import write_new
    from faintlink.postprocess.signatures.session import sign_document

    content = document.read_bytes()
    parameters = _parameters(variant, 8 * len(content), budget)
    write_new(out, sign_document(content, parameters, homes, OsEntropy(), is_rehearsal=is_rehearsal))
    return 0


@qds.command("verify")
@click.argument("signed", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--homes", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), help="New folder for verdicts; qds-<time> by default.")
@click.option("--rehearsal", "is_rehearsal", is_flag=True, help="Take keys that are marked unusable.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def verify(signed: Path, homes: Path, out: Path | None, *, is_rehearsal: bool, as_json: bool) -> int:
    """Let receiver and verifier decide about SIGNED; HOMES/receiver and HOMES/verifier are read."""
    from faintlink.postprocess.results import new_folder

    folder = new_folder(out or default_folder("qds"), Path())
    return _judge(signed.read_bytes(), homes, folder, "none", is_rehearsal=is_rehearsal, as_json=as_json)


def _parameters(variant: str, message_bits: int, budget: float) -> "Parameters":
    from faintlink.postprocess.signatures import parameters

    # A float's shortest text is what the user meant; its binary value is a little off.
    return parameters.plan(parameters.Variant(variant), message_bits, Fraction(repr(budget)))


def _judge(message: bytes, homes: Path, folder: Path, attack: str, *, is_rehearsal: bool, as_json: bool) -> int:
    import json

    from rich.console import Console

    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.report.outcome import outcome_document, print_outcome
    from faintlink.postprocess.signatures import session

    arrived, epsilon = session.tampered(message, attack), session.key_epsilon(message, homes)
    signed = session.verify_both(message, homes, OsEntropy(), is_rehearsal=is_rehearsal, delivered=arrived)
    if attack == "replay":
        signed = session.verify_both(message, homes, OsEntropy(), is_rehearsal=is_rehearsal)
    outcome = session.write_results(signed, folder, session=folder.name, is_rehearsal=is_rehearsal, key_epsilon=epsilon)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **outcome_document(outcome)}, indent=1))
    else:
        print_outcome(outcome, Console(stderr=True))
    return 0 if outcome.is_accepted else 4


def _mock_link(folder: Path, homes: Path, name: str, number: int) -> None:
    """Record and distil a mock link, and move its keys to both ends' homes."""
    from rich.console import Console

    from faintlink.acquisition.launch import in_words, take_run
    from faintlink.acquisition.progress import ProgressView
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.results import analyse, link_of

    console = Console(stderr=True)
    console.print(f"link {number + 1} of 2, signer to {name} …")
    folder.mkdir()
    with ProgressView() as progress:
        recorded = take_run(shipped_link("demo"), folder / "run", progress=progress)
    console.print(in_words(recorded))
    run = open_run([folder / "run"])
    analyse(run, link_of(run), folder)
    for ours, theirs, end in (("signer", name, "alice"), (name, "signer", "bob")):
        (homes / ours).mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "keys" / end).rename(homes / ours / theirs)


def _preshared(homes: Path) -> None:
    """Give receiver and verifier a secret of their own, as a rehearsal's stand-in for a third link."""
    import secrets
    import uuid

    from faintlink.core.records import SecretKey
    from faintlink.postprocess.keystore import FileKeyStore

    key = SecretKey(str(uuid.uuid4()), _PEER_BITS, secrets.token_bytes(_PEER_BITS // 8), 0.0)
    for ours, theirs in (("receiver", "verifier"), ("verifier", "receiver")):
        FileKeyStore(homes / ours / theirs).put(key, {"usable": False, "origin": "pre-shared for a rehearsal"})
