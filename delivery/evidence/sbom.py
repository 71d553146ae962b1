"""What is installed for faintlink, as a CycloneDX list: every distribution that its dependencies lead to.

It is made of what the installed distributions say of themselves, without a network. What only an extra leads to is
marked as optional; what is not installed is not in the list.

Sources: CycloneDX 1.5, JSON schema (ECMA-424); core metadata 2.3 (packaging.python.org); package URL specification.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

ROOT = "faintlink"
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(slots=True)
class Component:
    """An installed distribution."""

    name: str
    """Normalised."""
    version: str
    license: str
    is_optional: bool = True
    """Whether only extras lead to it."""
    needs: set[str] = field(default_factory=set)
    """Names of installed distributions that it needs."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def components(root: str = ROOT) -> dict[str, Component]:
    """Return ``root`` and all installed distributions that it leads to, by normalised name."""
    found: dict[str, Component] = {}
    # Twice: first along what is needed, then along the extras, so that what both lead to counts as needed.
    _follow(found, root, frozenset(), is_optional=False)
    _follow(found, root, _extras(root), is_optional=True)
    return found


def as_cyclonedx(found: Mapping[str, Component], root: str = ROOT) -> dict[str, Any]:
    """Return a CycloneDX document of components."""
    rest = [found[name] for name in sorted(found) if name != normalised(root)]
    scope = {True: "optional", False: "required"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": _row(found[normalised(root)], "application"),
        },
        "components": [{**_row(one, "library"), "scope": scope[one.is_optional]} for one in rest],
        "dependencies": [
            {"ref": one.purl, "dependsOn": sorted(found[name].purl for name in one.needs)} for one in found.values()
        ],
    }


def normalised(name: str) -> str:
    """Return a name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _row(one: Component, kind: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": kind,
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
    }
    return {**row, "licenses": [{"license": {"name": one.license}}]} if one.license else row


def _follow(found: dict[str, Component], name: str, extras: frozenset[str], *, is_optional: bool) -> None:
    waiting, seen = [(normalised(name), extras)], set()
    while waiting:
        at = waiting.pop()
        if at in seen or (installed := _installed(at[0])) is None:
            continue
        seen.add(at)
        one = found.setdefault(at[0], Component(at[0], installed.version, _license(installed)))
        one.is_optional = one.is_optional and is_optional
        for needed, wanted in _needs(installed.requires or (), at[1]):
            if _installed(needed) is not None:
                one.needs.add(needed)
                waiting.append((needed, wanted))


def _needs(requires: Iterable[str], extras: frozenset[str]) -> Iterable[tuple[str, frozenset[str]]]:
    """Yield what is needed under some extras; other markers are judged by what is installed."""
    for text in requires:
        parts = _REQUIREMENT.match(text)
        if parts is None:
            continue
        name, wanted, marker = parts.groups()
        only_for = {normalised(extra) for extra in _EXTRA.findall(marker or "")}
        if not only_for or only_for & extras:
            yield normalised(name), frozenset(normalised(w) for w in (wanted or "").split(",") if w.strip())


def _extras(name: str) -> frozenset[str]:
    found = _installed(name)
    extras = found.metadata.get_all("Provides-Extra") if found else None
    return frozenset(normalised(extra) for extra in extras or ())


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _license(installed: Distribution) -> str:
    metadata = installed.metadata
    stated: list[str] = [text for name in ("License-Expression", "License") for text in metadata.get_all(name) or ()]
    short = [text for text in stated if "\n" not in text and len(text) < 100]
    if short:
        return short[0]
    classifiers = metadata.get_all("Classifier") or []
    return next((one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")), "")
