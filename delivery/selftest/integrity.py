"""Whether the installed program is the one that was installed: SHA-256 of every file against a manifest.

The manifest is made once, at installation, and kept where the program's user cannot write. It finds damage and
mistakes, and a change by whoever cannot change the manifest too. The digest of the program goes into the audit log at
each start, so that a change shows there.

Sources: FIPS 140-3 and ISO/IEC 19790:2012, on software security and on the software integrity test (by title).
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from faintlink.core.errors import SelfTestError
from faintlink.core.private import write_private

PACKAGES = ("core", "postprocess", "delivery")
"""What a key server runs of faintlink."""
_FORMAT = "faintlink-manifest/1"
_SKIPPED = {"__pycache__"}
_HINT = "install faintlink anew from a trusted source, or make a new manifest if the change was wanted"


def measure(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return SHA-256 in hex of every installed file, by package and path within it.

    Raises
    ------
    SelfTestError
        A package is not installed.
    """
    return {
        f"{name}/{path.relative_to(root).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name in packages
        for root in [_root(name)]
        for path in sorted(root.rglob("*"))
        if path.is_file() and not _SKIPPED & set(path.parts)
    }


def digest(manifest: Mapping[str, str]) -> str:
    """Return SHA-256 in hex of a manifest: one number for the whole program."""
    return hashlib.sha256("\n".join(f"{manifest[name]} {name}" for name in sorted(manifest)).encode()).hexdigest()


def write_manifest(path: Path) -> dict[str, str]:
    """Measure the installed files and write their manifest to a new file.

    Raises
    ------
    RunExistsError
        The file exists.
    """
    found = measure()
    text = json.dumps({"format": _FORMAT, "digest": digest(found), "files": found}, indent=1, sort_keys=True)
    write_private(path, text.encode() + b"\n", hint="move the old manifest away first")
    return found


def check(path: Path) -> str:
    """Compare the installed files with a manifest and return the digest.

    Raises
    ------
    SelfTestError
        The manifest cannot be read, or a file is changed, missing or new.
    """
    expected = _read(path)
    found = measure()
    changed = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    missing, new = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if changed or missing or new:
        raise SelfTestError(
            f"the installed files differ from {path}: {_some('changed', changed)}, {_some('missing', missing)}, "
            f"{_some('new', new)}",
            hint=_HINT,
            changed=changed,
            missing=missing,
            new=new,
        )
    return digest(found)


def _read(path: Path) -> dict[str, str]:
    try:
        manifest = json.loads(path.read_text("utf-8"))
        files = manifest["files"]
        if manifest["format"] != _FORMAT or manifest["digest"] != digest(files):
            raise ValueError("its digest or format is wrong")
        return dict(files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SelfTestError(
            f"{path} is no manifest: {error}", hint="make one with `faintlink selftest --write-manifest`"
        ) from error


def _some(what: str, names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most]) + (" …" if len(names) > most else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")


def _root(name: str) -> Path:
    spec = find_spec(f"faintlink.{name}")
    if spec is None or not spec.submodule_search_locations:
        raise SelfTestError(f"the package faintlink.{name} is not installed", hint=_HINT)
    return Path(next(iter(spec.submodule_search_locations)))
