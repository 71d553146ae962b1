"""Two sites as processes, as an operator sees them: status, health, new applications, audit log, a clean end."""

import asyncio
import base64
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from faintlink.delivery.audit.site import verify_site_log
from faintlink.delivery.commands.evidence import evidence
from faintlink.delivery.commands.kme import kme
from faintlink.delivery.kme.config import FILE_NAME
from faintlink.delivery.kme.provision import enroll
from tests.kme_load import OTHER
from tests.kme_processes import Processes
from tests.unit.delivery.kme.logbook import facts
from tests.unit.delivery.kme.sites import SITES, application_context, ask, change, client, free_ports


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    made = Processes.make(tmp_path_factory.mktemp("kme") / "sites")
    for folder, port in zip(made.folders.values(), free_ports(2), strict=True):
        change(folder, monitoring_port=port)
    made.distil(1, 500)
    with made.serving():
        yield made


def monitoring(pair: Processes, path: str) -> tuple[int, str]:
    port = yaml.safe_load((pair.folders["site-a"] / FILE_NAME).read_text())["monitoring_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.status, answer.read().decode()


def load(pair: Processes, seconds: float) -> list[str]:
    """Let applications ask for a while and return the keys that they got."""
    asking = pair.load()
    asyncio.run(asking.run(2, seconds, sites=SITES))
    asking.history.check()
    assert set(asking.history.master) == set(asking.history.slave)
    return [keys[0] for keys in asking.history.master.values()]


def test_blocks_of_both_nodes_become_stock_and_leave_their_folders(pair: Processes) -> None:
    for site in SITES:
        units = pair.status(site)["peers"][OTHER[site]]["units"]
        assert sum(units.values()) == 500
        assert [path.stat().st_size for path in (pair.folders[site] / "node-keys").glob("*.key")] == [0]


def test_no_file_of_a_site_shows_a_key_that_was_handed_out(pair: Processes) -> None:
    keys = [base64.b64decode(key) for key in load(pair, 0.5)]
    assert len(keys) > 3
    files = {path: path.read_bytes() for path in pair.folders["site-a"].parent.rglob("*") if path.is_file()}
    assert any(path.suffix == ".log" for path in files)
    for key in keys:
        for form in (key, key.hex().encode(), base64.b64encode(key)):
            assert [path for path, data in files.items() if form in data] == []


def test_every_release_stands_in_a_log_that_verifies(pair: Processes) -> None:
    load(pair, 0.3)
    for folder in pair.folders.values():
        assert verify_site_log(folder / "audit").records > 3
    text = b"".join(path.read_bytes() for path in (pair.folders["site-a"] / "audit" / "log").iterdir())
    assert b"keys_delivered" in text
    assert b"self_test" in text


def test_the_operator_sees_stock_and_peers(pair: Processes) -> None:
    seen = CliRunner().invoke(kme, ["status", str(pair.folders["site-a"]), "--compare"])
    assert "site-b: up" in seen.output
    assert "0 differences" in seen.output
    as_json = CliRunner().invoke(kme, ["status", str(pair.folders["site-a"]), "--json"])
    assert json.loads(as_json.output)["peers"]["site-b"]["is_up"] is True
    assert (pair.folders["site-a"] / "admin.sock").stat().st_mode & 0o777 == 0o600


def test_the_process_leaves_no_core_dump(pair: Processes) -> None:
    limits = Path(f"/proc/{pair.running['site-a'].pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0", limits)


def test_health_and_metrics_answer_on_loopback(pair: Processes) -> None:
    load(pair, 0.3)
    status, text = monitoring(pair, "/health")
    assert (status, json.loads(text)["status"]) in ((200, "ok"), (200, "degraded"))
    _, metrics = monitoring(pair, "/metrics")
    counted = [line for line in metrics.splitlines() if "key_deliveries_total{" in line and 'code="200"' in line]
    assert len(counted) == 2
    assert all(float(line.rpartition(" ")[2]) > 0 for line in counted)


def test_an_application_enrolled_meanwhile_gets_keys_without_a_restart(pair: Processes) -> None:
    enroll(pair.folders["site-a"], "vpn-a")
    enroll(pair.folders["site-b"], "vpn-b")
    for process in pair.running.values():
        process.send_signal(signal.SIGHUP)

    async def scene() -> int:
        async with client(application_context(pair.folders["site-a"], "vpn-a")) as session:
            url = pair.url("site-a").replace("sae-site-b", "vpn-b") + "/enc_keys"
            for _ in range(200):
                status, _ = await ask(session, url, {})
                if status == 200:
                    return status
                await asyncio.sleep(0.05)
        return status

    assert asyncio.run(scene()) == 200
    # The running site has the log: it was told of the enrolment, and noted what it took over.
    assert facts(pair.folders["site-a"], "enrolled")[-1].about["name"] == "vpn-a"
    assert facts(pair.folders["site-a"], "config_changed")[-1].about["changed"] == ["own", "peers"]


def test_evidence_of_a_running_site_traces_every_key_with_its_epsilon(pair: Processes, tmp_path: Path) -> None:
    load(pair, 0.3)
    for site, role in (("site-a", "master"), ("site-b", "slave")):
        out = tmp_path / site
        result = CliRunner().invoke(evidence, ["--site", str(pair.folders[site]), "--out", str(out)])
        assert result.exception is None, result.exception
        usage = json.loads((out / "evidence.json").read_text())["sections"]["usage"]
        assert "locked" in usage["store"]
        assert (usage["is_good"], usage["untraced"]) == (True, 0)
        rows = [json.loads(line) for line in (out / "usage.jsonl").read_text().splitlines()]
        delivered = [row for row in rows if row["state"] == "delivered"]
        assert {"master", "slave"} == {row["role"] for row in delivered}
        assert len([row for row in delivered if row["role"] == role]) > 3
        for row in delivered:
            assert row["epsilon"] == 1e-10
            assert (row["bits"], len(row["blocks"]), row["peer"]) == (256, 1, OTHER[site])


def test_a_second_process_is_refused_the_store(pair: Processes) -> None:
    code = "import sys; from faintlink.core import cli; from faintlink.delivery.commands.kme import kme; "
    code += "cli.cli.add_command(kme); sys.exit(cli.run(['kme', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, "serve", str(pair.folders["site-a"])]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 7, second.stderr
    assert "Traceback" not in second.stderr


def test_a_site_ends_cleanly_and_is_back_soon(pair: Processes, tmp_path: Path) -> None:
    process = pair.running["site-b"]
    process.terminate()
    assert process.wait(20) == 0
    assert "away" in CliRunner().invoke(kme, ["status", str(pair.folders["site-a"]), "--compare"]).output
    # Without the site, its store is read beside the log, and tells the same.
    assert CliRunner().invoke(evidence, ["--site", str(pair.folders["site-b"]), "--out", str(tmp_path / "pack")]).output
    usage = json.loads((tmp_path / "pack" / "evidence.json").read_text())["sections"]["usage"]
    assert (usage["store"], usage["is_good"], usage["log_and_store_differ"]) == ("read", True, [])
    start = time.monotonic()
    pair.start("site-b")
    pair.await_up()
    assert load(pair, 0.3) != []
    print(f"back in service after {time.monotonic() - start:.1f} s")
