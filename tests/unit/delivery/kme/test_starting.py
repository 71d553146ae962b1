"""A site does not start on an installation that was changed."""

import json
from pathlib import Path

import pytest

from faintlink.core.errors import SelfTestError
from faintlink.delivery.kme.provision import Plan, make_sites
from faintlink.delivery.kme.running import serve
from faintlink.delivery.selftest.integrity import digest, write_manifest
from tests.unit.delivery.kme.sites import SITES, change


def test_a_site_whose_files_differ_from_its_manifest_does_not_start_and_notes_why(tmp_path: Path) -> None:
    folder = make_sites(tmp_path / "sites", Plan([SITES], {}))[0]
    write_manifest(folder / "files.json")
    content = json.loads((folder / "files.json").read_text())
    content["files"]["delivery/witness.py"] = "0" * 64
    content["digest"] = digest(content["files"])
    (folder / "files.json").write_text(json.dumps(content))
    change(folder, manifest="files.json", anchors="elsewhere.anchors")
    with pytest.raises(SelfTestError, match=r"1 changed \(delivery/witness.py\)"):
        serve(folder)
    assert "self_test" in "".join(path.read_text() for path in (folder / "audit" / "log").iterdir())
    assert (folder / "elsewhere.anchors").exists()
    assert not (folder / "store" / "keys.db").exists()
