"""Write an evidence pack: a page to read, JSON to process, and the hashes of both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from faintlink.core.errors import RunExistsError
from faintlink.core.private import write_private
from faintlink.delivery.evidence.collect import Pack
from faintlink.delivery.evidence.families import CLAIM, FAMILIES, SECTIONS
from faintlink.postprocess.report.html import document
from faintlink.postprocess.report.markup import Child, Markup, bullets, join, pairs, table, tag

SUMS = "SHA256SUMS"
_WORDS: Final = {True: "good", False: "fault", None: "for information"}


def write_pack(pack: Pack, out: Path) -> list[Path]:
    """Write a pack into a new folder of mode 0700 and return its files.

    Raises
    ------
    RunExistsError
        The folder exists.
    """
    try:
        out.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise RunExistsError(f"{out} exists; nothing was overwritten", hint="name a new folder") from None
    texts = {
        "evidence.json": _json(pack.as_data()),
        "sbom.cdx.json": _json(pack.bom),
        "index.html": page(pack),
    }
    if pack.usage is not None:
        texts["usage.jsonl"] = "".join(json.dumps(key.as_data()) + "\n" for key in pack.usage.keys.values())
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts[SUMS] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return [write_private(out / name, text.encode()) for name, text in texts.items()]


def page(pack: Pack) -> str:
    """Return the page of a pack."""
    made = f"faintlink {pack.sections['versions'].get('faintlink', '')}, made {pack.made_utc}. "
    claim = f"{CLAIM.capitalize()}: nobody has evaluated this product, and the pack is where an evaluator begins."
    outcome = "No section found a fault." if pack.is_good else "A section found a fault."
    head = (
        tag("h1", "Evidence"),
        tag("p", made, claim),
        tag("p", outcome, class_="result good" if pack.is_good else "banner"),
        _families(),
    )
    return document("Evidence", join((*head, *(_section(name, pack.sections[name]) for name in SECTIONS))))


def _families() -> Markup:
    rows: list[list[Child]] = [
        [
            one.family,
            one.area,
            one.asked,
            str(one.standing),
            ", ".join(one.sections),
            bullets(one.tests),
            one.note,
            one.checked,
        ]
        for one in FAMILIES
    ]
    head = (
        "Common Criteria",
        "ISO/IEC 19790, FIPS 140-3",
        "asked",
        "standing",
        "sections",
        "tests",
        "note",
        "names checked",
    )
    note = "Families as ISO/IEC 23837-1 and ETSI GS QKD 016 use them; a map by family, not a claim."
    return join((tag("h2", "Requirement families"), tag("p", note, class_="faint"), table(head, rows)))


def _section(name: str, section: Mapping[str, Any]) -> Markup:
    is_good = section["is_good"]
    dress = {True: "good", False: "banner", None: "faint"}[is_good]
    content = _matrix(section) if name == "permissions" and "matrix" in section else _value(section)
    title = tag("h2", name.replace("_", " ").capitalize())
    return join((title, tag("p", SECTIONS[name], class_="faint"), tag("p", _WORDS[is_good], class_=dress), content))


def _matrix(section: Mapping[str, Any]) -> Markup:
    roles = section["roles"]
    rows = [[action, *("yes" if row[role] else "" for role in roles)] for action, row in section["matrix"].items()]
    rest = {name: value for name, value in section.items() if name not in ("matrix", "roles")}
    return join((table(("action", *roles), rows), _value(rest)))


def _value(value: Any) -> Markup:
    if isinstance(value, Mapping):
        return pairs((name.replace("_", " "), _value(one)) for name, one in value.items() if name != "is_good")
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        head = list(value[0])
        return table(head, [[_value(one.get(name)) for name in head] for one in value], most=200)
    if isinstance(value, list):
        return bullets(_value(one) for one in value) if value else tag("span", "none")
    return tag("span", "" if value is None else str(value))


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"
