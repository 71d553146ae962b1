"""Two sites and their applications from two commands; the configuration says every fault at once."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from faintlink.core.errors import ConfigError, PeerUnavailableError, RunExistsError
from faintlink.delivery.commands.kme import kme
from faintlink.delivery.kme.config import FILE_NAME, CutShares, KmeConfig, Listener, PeerSite, Timing, load_kme
from faintlink.delivery.kme.foreign_config import ForeignDevice
from faintlink.delivery.kme.officers_config import Officers
from faintlink.delivery.kme.provision import Plan, enroll, make_sites, revoke
from faintlink.delivery.kme.store_config import PostgresStore
from tests.data import ROOT
from tests.unit.delivery.kme.sites import SITES, change


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return make_sites(tmp_path / "sites", Plan([SITES], {}))


def test_each_site_knows_its_own_application_and_its_peers(folders: list[Path]) -> None:
    first, second = map(load_kme, folders)
    assert first.own == {"sae-site-a": "urn:faintlink:sae:sae-site-a"}
    assert first.peers[0].applications == tuple(second.own)
    assert first.peers[0].url.endswith(f":{second.sites.port}")
    assert first.cut(first.peers[0]) == second.cut(second.peers[0])
    assert len({first.applications.port, first.sites.port, second.applications.port, second.sites.port}) == 4


def test_what_is_secret_is_its_owners_only(folders: list[Path]) -> None:
    keys = list(folders[0].parent.rglob("*.key"))
    assert len(keys) == 10
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert folders[0].stat().st_mode & 0o777 == 0o700


def test_three_sites_in_a_row_have_the_middle_one_as_peer_of_both(tmp_path: Path) -> None:
    plan = Plan([("west", "middle"), ("middle", "east")], {"east": "10.0.0.3"})
    west, middle, east = (load_kme(folder) for folder in make_sites(tmp_path / "sites", plan))
    assert [peer.name for peer in middle.peers] == ["west", "east"]
    assert [peer.name for peer in west.peers] == [peer.name for peer in east.peers] == ["middle"]
    assert middle.peers[1].url == f"https://10.0.0.3:{east.sites.port}"


def test_an_enrolled_application_is_known_at_both_sites(folders: list[Path]) -> None:
    bundle = enroll(folders[1], "vpn")
    assert sorted(path.name for path in bundle.iterdir()) == ["authority.crt", "client.crt", "client.key"]
    assert "vpn" in load_kme(folders[1]).own
    assert "vpn" in load_kme(folders[0]).peers[0].applications
    for folder in folders:
        with pytest.raises(ConfigError, match="already"):
            enroll(folder, "vpn")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "ä"])
def test_a_name_that_is_none_is_refused(folders: list[Path], name: str) -> None:
    with pytest.raises(ConfigError, match="no name"):
        enroll(folders[0], name)


def test_revoking_needs_an_application(folders: list[Path]) -> None:
    before = (folders[0] / "tls" / "applications.crl").read_bytes()
    assert revoke(folders[0], "sae-site-a")
    assert (folders[0] / "tls" / "applications.crl").read_bytes() != before
    with pytest.raises(ConfigError, match="nobody"):
        revoke(folders[0], "nobody")


def test_nothing_is_overwritten(folders: list[Path]) -> None:
    with pytest.raises(RunExistsError):
        make_sites(folders[0].parent, Plan([SITES], {}))


@pytest.mark.parametrize("pair", [("a", "a"), ("a", "b/c"), ("", "b")])
def test_sites_need_two_different_names(tmp_path: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError):
        make_sites(tmp_path / "sites", Plan([pair], {}))


def test_every_fault_of_a_configuration_is_named_with_its_line(folders: list[Path]) -> None:
    path = folders[0] / FILE_NAME
    path.write_text(path.read_text().replace("port: 8443", "port: 99999").replace("urn:faintlink:kme", "faintlink"))
    with pytest.raises(ConfigError) as caught:
        load_kme(folders[0])
    assert len(caught.value.fields["faults"]) == 3
    assert ":6:" in caught.value.fields["faults"][0]


@pytest.mark.parametrize(
    ("change_", "why"),
    [
        (lambda data: data["own"].update({"sae-site-b": "urn:x:y"}), "two places"),
        (lambda data: data["own"].update({"other": "urn:faintlink:sae:sae-site-a"}), "same URN"),
        (lambda data: data["peers"][0].update({"name": "site-a"}), "its own peer"),
        (lambda data: data["peers"].append(dict(data["peers"][0], applications=[])), "same name"),
        (lambda data: data["peers"][0].update({"url": "http://127.0.0.1:1"}), "url"),
    ],
)
def test_sections_that_do_not_fit_together_are_refused(folders: list[Path], change_: "object", why: str) -> None:
    data = yaml.safe_load((folders[0] / FILE_NAME).read_text())
    change_(data)  # type: ignore[operator]
    change(folders[0], **data)
    with pytest.raises(ConfigError, match=why):
        load_kme(folders[0])


def test_the_commands_make_enroll_and_revoke(tmp_path: Path) -> None:
    run = CliRunner().invoke
    out = tmp_path / "sites"
    made = run(kme, ["pki", "--pair", *SITES, "--out", str(out), "--first-port", "9000"])
    assert made.exit_code == 0, made.output
    assert "sae-site-b" in made.output
    enrolled = run(kme, ["enroll", str(out / "site-a"), "vpn"])
    assert enrolled.exit_code == 0, enrolled.output
    assert "site-b" in enrolled.output
    revoked = run(kme, ["enroll", str(out / "site-a"), "vpn", "--revoke"])
    assert revoked.exit_code == 0, revoked.output
    asked = run(kme, ["status", str(out / "site-a")])
    assert isinstance(asked.exception, PeerUnavailableError)
    assert "kme serve" in asked.exception.hint


@pytest.mark.parametrize(
    "model", [KmeConfig, PostgresStore, Officers, Listener, PeerSite, CutShares, ForeignDevice, Timing]
)
def test_the_page_on_the_configuration_names_every_field_and_its_default(model: type[BaseModel]) -> None:
    text = (ROOT / "docs" / "reference" / "kme-config.md").read_text()
    rows = text.partition(f"\n## {model.__name__}\n")[2].partition("\n## ")[0]
    named = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| ?([^|]*?) ?\|", rows, re.MULTILINE))
    assert list(named) == list(model.model_fields)
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            expected = "its defaults"
        elif field.default is PydanticUndefined:
            expected = ""
        else:
            expected = "none" if field.default is None else f"`{field.default}`".replace("False", "false")
        assert named[name] == expected, name
