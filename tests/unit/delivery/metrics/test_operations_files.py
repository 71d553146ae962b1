"""Dashboards, alerts and service units name only what there is."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from faintlink.delivery.metrics.catalogue import CATALOGUE, PREFIX, Feeder, Kind, Metric
from tests.data import ROOT

OPS = ROOT / "docs" / "ops"
BOARDS = sorted((OPS / "grafana").glob("*.json"))
ALERTS = OPS / "prometheus" / "alerts.yml"
UNITS = [OPS / "systemd" / f"faintlink-{name}@.service" for name in ("kme", "monitor")]
SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}


def exported(metric: Metric) -> set[str]:
    return {metric.full_name + suffix for suffix in SUFFIXES.get(metric.kind, ("",))}


BY_EXPORT = {name: metric for metric in CATALOGUE for name in exported(metric)}
SELECTOR = re.compile(rf"({PREFIX}\w+)(?:\{{([^}}]*)\}})?")
BY_CLAUSE = re.compile(r"(?:by|on|group_left|without|ignoring) \(([^)]*)\)")
FREE_LABELS = {"job", "instance", "le"}
"""Labels that Prometheus adds."""


def board_expressions(path: Path) -> Iterator[tuple[str, str]]:
    board = json.loads(path.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


EXPRESSIONS = [
    *((f"{path.stem}: {title}", text) for path in BOARDS for title, text in board_expressions(path)),
    *((rule["alert"], rule["expr"]) for rule in rules()),
]


def test_there_are_dashboards_and_alerts() -> None:
    assert [path.stem for path in BOARDS] == ["link", "site"]
    assert len(rules()) >= 15


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_and_label_of_an_expression_exists(where: str, text: str) -> None:
    found = SELECTOR.findall(text)
    assert found or text.startswith("up{"), where
    labels = set()
    for name, selection in found:
        assert name in BY_EXPORT, f"{where}: {name}"
        own = {*BY_EXPORT[name].labels, *FREE_LABELS}
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selection))
        assert used <= own, f"{where}: {name} has no labels {used - own}"
        labels |= own
    for clause in BY_CLAUSE.findall(text):
        assert {one.strip() for one in clause.split(",") if one.strip()} <= labels, where


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_counters_are_used_as_rates_and_gauges_are_not(where: str, text: str) -> None:
    for match in SELECTOR.finditer(text):
        before = text[: match.start()].rstrip("(").rsplit("(", 1)[-1].split()[-1:] or [""]
        is_rate = re.search(r"(rate|increase)\($", text[: match.start()]) is not None
        metric = BY_EXPORT[match.group(1)]
        assert is_rate == (metric.kind is not Kind.GAUGE), f"{where}: {match.group(1)} after {before}"


def test_brackets_of_every_expression_close() -> None:
    for where, text in EXPRESSIONS:
        for opening, closing in ("()", "[]", "{}"):
            assert text.count(opening) == text.count(closing), where


def test_every_metric_is_shown_on_its_dashboard() -> None:
    for feeder, board in ((Feeder.SITE, "site"), (Feeder.LINK, "link")):
        texts = [text for _, text in board_expressions(OPS / "grafana" / f"{board}.json")]
        shown = {name for text in texts for name, _ in SELECTOR.findall(text)}
        for metric in CATALOGUE:
            if metric.feeder is feeder:
                assert exported(metric) & shown, metric.name


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_of_a_dashboard_have_numbers_and_places_of_their_own(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_has_a_severity_a_summary_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    metrics = [BY_EXPORT[name] for name, _ in SELECTOR.findall(rule["expr"])]
    assert used <= {"instance", *(label for metric in metrics for label in metric.labels)}
    assert "for" not in rule or re.fullmatch(r"\d+[sm]", rule["for"])


def test_every_alert_is_explained_on_the_page() -> None:
    page = (ROOT / "docs" / "howto" / "monitor.md").read_text()
    for rule in rules():
        assert f"`{rule['alert']}`" in page, rule["alert"]


def verified(path: Path) -> subprocess.CompletedProcess[str]:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)


def instance(unit: Path, folder: Path, text: str) -> Path:
    """A unit as it would be installed, with a program that exists here."""
    text = text.replace("/opt/faintlink/bin/faintlink", sys.executable)
    for name in (unit.name, unit.name.replace("@.", "@5599.")):
        path = folder / name
        path.write_text(text)
    return path


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_the_service_manager_takes_the_units(unit: Path, tmp_path: Path) -> None:
    result = verified(instance(unit, tmp_path, unit.read_text()))
    assert result.returncode == 0, result.stderr
    assert "Unknown key" not in result.stderr


def test_a_slip_in_a_unit_would_be_seen(tmp_path: Path) -> None:
    path = instance(UNITS[0], tmp_path, UNITS[0].read_text().replace("WatchdogSec=", "WatchdogSek="))
    assert "WatchdogSek" in verified(path).stderr


def test_the_units_keep_keys_from_dumps_and_others() -> None:
    text = (OPS / "systemd" / "faintlink-kme@.service").read_text()
    for line in ("Type=notify", "WatchdogSec=10", "Restart=on-failure", "RestartSec=1", "LimitCORE=0", "UMask=0077"):
        assert f"\n{line}\n" in text
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "StateDirectoryMode=0700"):
        assert f"\n{line}\n" in text


def test_the_commands_of_the_units_exist() -> None:
    from faintlink.delivery.commands.kme import kme
    from faintlink.delivery.commands.monitor import monitor

    texts = {unit.stem: re.findall(r"^ExecStart=\S+ (.*)$", unit.read_text(), re.MULTILINE) for unit in UNITS}
    assert texts["faintlink-kme@"] == ["kme serve /var/lib/faintlink/%i"]
    assert "serve" in kme.commands
    (line,) = texts["faintlink-monitor@"]
    assert line.startswith("monitor tcp://")
    assert "--listen" in {option for parameter in monitor.params for option in parameter.opts}
