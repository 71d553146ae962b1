"""A pair of sites with a known key in it: everything they leave behind is audited, traceable, and free of the key."""

import asyncio
import base64
import hashlib
import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import FaintlinkError
from faintlink.core.records import SecretKey
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.site import ANCHORS_FILE, KEY_FILE, LOG_FOLDER
from faintlink.delivery.commands.audit import audit
from faintlink.delivery.commands.evidence import evidence
from faintlink.delivery.commands.selftest import selftest
from faintlink.delivery.keystore.ingest import FolderIngest
from faintlink.delivery.keystore.model import Block, Role
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.metrics.feeding import count_answer
from faintlink.delivery.metrics.logs import JsonFormatter
from faintlink.delivery.metrics.site import SiteMonitor
from faintlink.delivery.selftest.gate import SelfTestGate
from faintlink.postprocess.keystore import FileKeyStore
from tests.kme_load import OTHER
from tests.unit.delivery.kme.sites import application_context, ask, client, make_pair, running
from tests.unit.delivery.ledger.fakes import CUT

UNITS = 64
CANARY = hashlib.shake_256(b"canary").digest(UNITS * 32)
BLOCK = "00000000-0000-4000-8000-0000000ca9a7"
PIECE = 12
"""Bytes of the key that are enough to be found."""


def needles() -> list[bytes]:
    """Pieces of every unit of the key, in every spelling that a program may leave them in."""
    found: list[bytes] = []
    for start in range(0, len(CANARY), 32):
        piece = CANARY[start : start + PIECE]
        found += [piece, piece.hex().encode(), piece.hex().upper().encode(), repr(piece)[2:-1].encode()]
        found += [str(list(piece))[1:-1].encode(), json.dumps(piece.decode("latin-1"))[1:-1].encode()]
        for shift in range(3):
            text = base64.b64encode(CANARY[start + shift : start + shift + PIECE])
            found += [text, text.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


NEEDLES = needles()


def hits(haystack: bytes) -> int:
    return sum(needle in haystack for needle in NEEDLES)


@dataclass
class Left:
    """What the sites left behind."""

    folders: list[Path]
    root: Path
    texts: dict[str, bytes] = field(default_factory=dict)
    """Logs, errors, answers that are no keys, metrics, health."""
    handed_out: list[bytes] = field(default_factory=list)
    key_ids: list[str] = field(default_factory=list)


@contextmanager
def everything_logged() -> Iterator[dict[str, io.StringIO]]:
    """Log every library at its finest, as text and as JSON."""
    streams = {"text": io.StringIO(), "json": io.StringIO()}
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    plain = logging.StreamHandler(streams["text"])
    machine = logging.StreamHandler(streams["json"])
    machine.setFormatter(JsonFormatter("site-a"))
    root.handlers[:] = [plain, machine]
    root.setLevel(logging.DEBUG)
    package = logging.getLogger("faintlink")
    package_handlers, package_level = package.handlers[:], package.level
    package.handlers[:] = []
    package.setLevel(logging.DEBUG)
    try:
        yield streams
    finally:
        root.handlers[:], root.level = kept, level
        package.handlers[:], package.level = package_handlers, package_level


def distil(folder: Path, store: SqliteKeyStore, log: AuditLog) -> None:
    keys = FileKeyStore(folder / "node-keys")
    keys.put(SecretKey(BLOCK, len(CANARY) * 8, CANARY, 1e-10), {"usable": True, "run_id": "run-7", "link_sha256": "ab"})
    FolderIngest(keys, store, peer=OTHER[folder.name], cut=CUT, witness=log).run()


def opened(folder: Path) -> tuple[SqliteKeyStore, AuditLog]:
    place = folder / "store"
    place.mkdir()
    master = FileMasterKey.create(place / "master.key")
    store = SqliteKeyStore.open(place / "keys.db", folder.name, master, ballast_bytes=1024, room_bytes=0)
    home = folder / "audit"
    key = AuditKey.open(home / KEY_FILE)
    return store, AuditLog(home / LOG_FOLDER, key, anchors=home / ANCHORS_FILE, site=folder.name)


def failures(store: SqliteKeyStore, key_ids: list[str]) -> list[str]:
    """Every way in which a key is refused, as it is shown to people and written by loggers."""
    texts = []
    known = store.record(key_ids[0]).assignment
    attempts: list[Callable[[], object]] = [
        lambda: store.deliver(key_ids, role=Role.MASTER, sae="sae-site-a"),
        lambda: store.deliver(key_ids, role=Role.SLAVE, sae="nobody"),
        lambda: store.place("site-b", [(known, CANARY[:31])], role=Role.MASTER, epsilon=0.0, blocks=[]),
        lambda: store.ingest("site-b", Block("another", CANARY, 2.0), CUT),
        lambda: store.reserve("site-b", [("x", 10**9)], master="m", slave="s"),
    ]
    for attempt in attempts:
        try:
            texts.append(repr(attempt()))
        except FaintlinkError as error:
            logging.getLogger("faintlink.test").exception("refused")
            texts += [str(error), repr(error), repr(error.fields), "".join(traceback.format_exception(error))]
    secret = SecretKey(BLOCK, len(CANARY) * 8, CANARY, 1e-10)
    texts += [repr(Block("x", CANARY, 1e-10)), repr(store), repr(secret), str(secret)]
    return texts


async def scene(left: Left, stores: dict[str, SqliteKeyStore], monitor: SiteMonitor) -> None:
    async with (
        running(left.folders, dict(stores), monitor.witness) as pair,
        client(application_context(left.folders[0])) as alice,
        client(application_context(left.folders[1])) as bob,
    ):
        url = pair.url("site-a")
        status, made = await ask(alice, f"{url}/enc_keys", {"number": 3})
        assert status == 200, made
        left.handed_out = [base64.b64decode(key["key"]) for key in made["keys"]]
        left.key_ids = [key["key_ID"] for key in made["keys"]]
        named = {"key_IDs": [{"key_ID": name} for name in left.key_ids]}
        status, _ = await ask(bob, f"{pair.url('site-b')}/dec_keys", named)
        assert status == 200
        answers = [
            await ask(bob, f"{pair.url('site-b')}/dec_keys", named),
            await ask(alice, f"{url}/dec_keys", named),
            await ask(alice, f"{url}/enc_keys", {"number": 3, "size": 257}),
            await ask(alice, f"{url}/enc_keys", {"number": 10**6}),
            await ask(alice, f"{url}/status"),
        ]
        assert [code for code, _ in answers] == [400, 401, 400, 400, 200]
        left.texts["answers"] = json.dumps([body for _, body in answers]).encode()
        left.texts["sites"] = repr((pair.sites, [vars(site) for site in pair.sites.values()])).encode()


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    root = tmp_path_factory.mktemp("canary")
    left = Left(make_pair(root / "sites"), root)
    with everything_logged() as streams:
        parts = {folder.name: opened(folder) for folder in left.folders}
        stores = {site: store for site, (store, _) in parts.items()}
        for folder in left.folders:
            distil(folder, *parts[folder.name])
        log = parts["site-a"][1]
        gate = SelfTestGate(log, site="site-a", entropy=OsEntropy())
        gate.run()
        monitor = SiteMonitor.make(
            "site-a", root, store=stores["site-a"], log=log, gate=gate, peers_up=lambda: {"site-b": True}
        )
        asyncio.run(scene(left, stores, monitor))
        count_answer(monitor.metrics, role="master", code=200, seconds=0.01)
        left.texts["errors"] = "\n".join(failures(stores["site-a"], left.key_ids)).encode()
        left.texts["metrics"] = monitor.monitoring.reply("GET", "/metrics").body
        left.texts["health"] = monitor.monitoring.reply("GET", "/health").body
        stores["site-a"].backup(root / "backup")
        for store, one in parts.values():
            store.close()
            one.close()
        result = CliRunner().invoke(evidence, ["--site", str(left.folders[0]), "--out", str(root / "pack")])
        left.texts["command"] = result.output.encode()
    left.texts |= {name: stream.getvalue().encode() for name, stream in streams.items()}
    return left


def test_the_search_finds_a_key_in_every_spelling() -> None:
    unit = CANARY[64:96]
    spellings = [
        unit,
        unit.hex().encode(),
        unit.hex(":").replace(":", "").upper().encode(),
        base64.b64encode(unit),
        base64.b64encode(b"x" + unit),
        base64.urlsafe_b64encode(b"xy" + unit),
        repr(unit).encode(),
        repr(bytearray(unit)).encode(),
        str(list(unit)).encode(),
        json.dumps({"key": unit.decode("latin-1")}).encode(),
    ]
    for text in spellings:
        assert hits(b"before " + text + b" after"), text
    assert hits(b"before after" * 1000) == 0


def test_the_applications_got_the_key_that_is_searched_for(left: Left) -> None:
    assert len(left.handed_out) == 3
    assert all(hits(key) for key in left.handed_out)


def test_no_output_holds_a_piece_of_the_key(left: Left) -> None:
    for name, text in left.texts.items():
        assert len(text) > 20, name
        assert hits(text) == 0, name
    assert len(left.texts["text"]) > 1000


def test_no_file_that_is_left_holds_a_piece_of_the_key(left: Left) -> None:
    files = [path for path in left.root.rglob("*") if path.is_file()]
    assert {"keys.db", "index.html", "evidence.json", "head", "backup"} <= {path.name for path in files}
    for path in files:
        assert hits(path.read_bytes()) == 0, path


def test_no_metric_names_a_key(left: Left) -> None:
    text = left.texts["metrics"].decode()
    assert 'faintlink_keys_delivered_total{role="master"} 3.0' in text
    assert 'faintlink_secret_bits_total{peer="site-b"}' not in text, "told before the counters were there"
    assert not any(name in text for name in [*left.key_ids, BLOCK])


def test_the_evidence_traces_each_delivered_key_to_its_run(left: Left) -> None:
    pack = json.loads((left.root / "pack" / "evidence.json").read_text())
    assert pack["sections"]["audit"]["is_good"] is True
    usage = pack["sections"]["usage"]
    assert (usage["is_good"], usage["untraced"]) == (True, 0)
    (block,) = usage["blocks"]
    assert (block["block"], block["provenance"]["run_id"], block["epsilon"]) == (BLOCK, "run-7", 1e-10)
    rows = [json.loads(line) for line in (left.root / "pack" / "usage.jsonl").read_text().splitlines()]
    delivered = {row["key_id"]: row for row in rows if row["state"] == "delivered"}
    assert set(delivered) == set(left.key_ids)
    for row in delivered.values():
        assert row["blocks"] == [BLOCK]
        assert row["epsilon"] == pytest.approx(1e-10)
        assert "keys_delivered" in [step["event"] for step in row["steps"]]
    hashed = pack["sections"]["configuration"]["sha256"]
    assert "kme.yaml" in hashed
    assert {Path(name).suffix for name in hashed} == {".yaml", ".crt", ".crl", ".pub"}


def run(command: Any, *arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(one) for one in arguments], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.output


def test_the_audit_command_verifies_shows_and_finds_a_broken_log(left: Left, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "audit"
    shutil.copytree(left.folders[0] / "audit", copy)
    code, text = run(audit, "verify", copy)
    assert code == 0
    assert "sound records" in text
    code, text = run(audit, "show", copy, "--key-id", left.key_ids[0], "--event", "keys_delivered")
    assert code == 0
    assert {json.loads(line)["event"] for line in text.splitlines()} == {"keys_delivered"}
    code, text = run(audit, "show", copy, "--last", 1)
    assert len(text.splitlines()) == 1
    (path,) = (copy / LOG_FOLDER).glob("audit-*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"run-7", b"run-8"))
    code, text = run(audit, "verify", copy)
    assert code == 7
    assert "BROKEN: record 5," in text
    code, text = run(audit, "verify", copy, "--json")
    assert json.loads(text)["faults"][0]["record"] == 5


def test_the_selftest_command_passes_and_its_manifest_fits(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    code, text = run(selftest, "--write-manifest", manifest)
    assert code == 0
    assert "digest" in text
    code, text = run(selftest, "--manifest", manifest)
    assert code == 0
    assert "FAILED" not in text
    assert "installed files" in text
