"""The installed files against their manifest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faintlink.core.errors import SelfTestError
from faintlink.delivery.selftest import integrity
from faintlink.delivery.selftest.gate import SelfTestGate
from faintlink.delivery.witness import SilentWitness


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small program in the place of the installed one."""
    root = tmp_path / "core"
    (root / "deep").mkdir(parents=True)
    (root / "a.py").write_text("a = 1\n")
    (root / "deep" / "vectors.json").write_text("[]\n")
    monkeypatch.setattr(integrity, "_root", lambda name: tmp_path / name)
    monkeypatch.setattr(integrity, "PACKAGES", ("core",))
    monkeypatch.setattr(integrity.measure, "__defaults__", (("core",),))
    return root


def _change(root: Path) -> None:
    (root / "a.py").write_text("a = 2\n")


def _remove(root: Path) -> None:
    (root / "deep" / "vectors.json").unlink()


def _add(root: Path) -> None:
    (root / "deep" / "b.py").write_text("")


def test_an_untouched_program_has_the_digest_of_its_manifest(program: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    files = integrity.write_manifest(manifest)
    assert set(files) == {"core/a.py", "core/deep/vectors.json"}
    assert integrity.check(manifest) == integrity.digest(files)


@pytest.mark.parametrize(("deed", "what"), [(_change, "1 changed"), (_remove, "1 missing"), (_add, "1 new")])
def test_whatever_is_done_to_a_file_is_found_and_named(
    program: Path, tmp_path: Path, deed: Callable[[Path], None], what: str
) -> None:
    manifest = tmp_path / "manifest.json"
    integrity.write_manifest(manifest)
    deed(program)
    with pytest.raises(SelfTestError, match=what):
        integrity.check(manifest)


def test_compiled_leftovers_do_not_count(program: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    integrity.write_manifest(manifest)
    (program / "__pycache__").mkdir()
    (program / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    integrity.check(manifest)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "faintlink-manifest/1", "digest": "x", "files": {}}'])
def test_what_is_no_manifest_is_refused(program: Path, tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(text)
    with pytest.raises(SelfTestError, match="no manifest"):
        integrity.check(manifest)


def test_an_edited_manifest_is_refused(program: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    integrity.write_manifest(manifest)
    content = json.loads(manifest.read_text())
    content["files"]["core/a.py"] = "0" * 64
    manifest.write_text(json.dumps(content))
    with pytest.raises(SelfTestError, match="digest"):
        integrity.check(manifest)


def test_the_real_program_can_be_measured() -> None:
    found = integrity.measure()
    assert "delivery/selftest/vectors.json" in found
    assert "core/errors.py" in found
    assert not any("__pycache__" in name for name in found)


def test_a_changed_program_shuts_the_gate(program: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    integrity.write_manifest(manifest)
    _change(program)
    gate = SelfTestGate(SilentWitness(), site="site-a", manifest=manifest)
    with pytest.raises(SelfTestError, match=r"core/a\.py"):
        gate.run()
    assert not gate.is_open
