"""The map from requirement families to what this program does for them, as data.

Families are named as in Common Criteria part 2, which ISO/IEC 23837-1 and ETSI GS QKD 016 build on, and areas as in
ISO/IEC 19790, which FIPS 140-3 adopts. It is a map by family, for an evaluator to begin with: the numbering of a
concrete protection profile is the evaluator's to check, and no document was claimed to be fulfilled. Rows that the
software cannot fulfil say so.

The standards themselves are sold, and were not at hand. What a row names was looked up in public texts that quote
them, and the row says in which; a number that none of them confirms does not stand here, and the row goes by title.
No clause of ISO/IEC 23837 or ETSI GS QKD 016 is named, for that reason.

Sources: contents of Common Criteria part 2 (version 2, public copy); BSI-PP-0035 (FCS_RNG as an extended family); GM/T
0028-2014 (titles of the areas of ISO/IEC 19790); a change to OpenSSL that quotes ISO/IEC 19790:2012, 7.9 (commit
3c32acb06d5d).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLAIM: Final = "evaluation-ready, not certified"
"""The only claim that is made."""


class Standing(StrEnum):
    """How far the software goes."""

    EVIDENCE = "evidence"
    """The pack holds evidence, and a test shows it."""
    PARTIAL = "partial"
    """Part of what a profile may ask for; the note says what is missing."""
    OUTSIDE = "outside"
    """Not a matter of this software."""


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the map."""

    family: str
    """Common Criteria."""
    area: str
    """ISO/IEC 19790 and FIPS 140-3."""
    asked: str
    standing: Standing
    sections: tuple[str, ...]
    """Of the pack."""
    tests: tuple[str, ...]
    """Files, from the root of the source."""
    note: str
    checked: str
    """``confirmed against …`` for what a public text shows, ``by title`` for the rest."""


_CONTENTS = "confirmed against the contents of Common Criteria part 2"
_AREA = "area by title"
_EVIDENCE, _PARTIAL, _OUTSIDE = Standing.EVIDENCE, Standing.PARTIAL, Standing.OUTSIDE
_UNIT = "tests/unit/delivery"

FAMILIES: Final[tuple[Family, ...]] = (
    Family(
        "FAU_GEN, FAU_STG",
        "roles, services and authentication; management of sensitive parameters",
        "security events are recorded and the record cannot be changed unnoticed",
        _EVIDENCE,
        ("audit",),
        (f"{_UNIT}/audit/test_audit_tampering.py", f"{_UNIT}/audit/test_audit_log.py"),
        "each release is on the disk before it happens; chain, signed head and anchors. Whoever holds the audit key and"
        " every copy of the anchors can write the log anew.",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "FAU_SAR",
        "roles, services and authentication",
        "auditors can read the record",
        _EVIDENCE,
        ("audit", "usage"),
        ("tests/integration/test_audit_evidence.py",),
        "`faintlink audit show` and this pack",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "FMT_SMR, FMT_MOF, FIA_UAU",
        "roles, services and authentication",
        "roles, what each may do, and who somebody is",
        _PARTIAL,
        ("permissions",),
        (f"{_UNIT}/access/test_access.py", f"{_UNIT}/kme/test_two_persons.py"),
        "the matrix is complete and tested; persons are known by the groups of the operating system, whose logins are"
        " its own matter. Two persons destroy keys, and two officers sign each change of whom a site trusts.",
        f"{_CONTENTS} (FMT_MOF, FIA_UAU); FMT_SMR by title; {_AREA}",
    ),
    Family(
        "FPT_TST",
        "self-tests",
        "known-answer and integrity tests before use",
        _EVIDENCE,
        ("self_tests",),
        (f"{_UNIT}/selftest/test_known_answers.py", f"{_UNIT}/selftest/test_integrity.py"),
        "a failed test shuts the gate for keys until the process starts anew. The libraries tried are not validated"
        " modules by being tried.",
        "by title",
    ),
    Family(
        "FCS_RNG",
        "management of sensitive parameters; SP 800-90B",
        "random sources are tested all the time",
        _PARTIAL,
        ("self_tests",),
        (f"{_UNIT}/selftest/test_health_tests.py",),
        "repetition count and adaptive proportion, with a start-up test. The entropy that is claimed for a source is an"
        " input; no source was evaluated.",
        f"confirmed against BSI-PP-0035, an extended family there; {_AREA}",
    ),
    Family(
        "FCS_CKM (generation)",
        "management of sensitive parameters",
        "keys come from a proven protocol, with a stated failure probability",
        _PARTIAL,
        ("usage", "epsilon"),
        ("tests/unit/postprocess/security", "tests/attacks/test_protocol.py"),
        "bounds, papers and epsilons stand with each block; assumptions on devices are the laboratory's to justify, see"
        " the security statement.",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "FCS_CKM (distribution)",
        "management of sensitive parameters",
        "keys reach only the applications that they are for",
        _EVIDENCE,
        ("usage", "configuration"),
        (f"{_UNIT}/etsi014", f"{_UNIT}/kme"),
        "ETSI GS QKD 014 over mutual TLS, names by exact match",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "FCS_CKM (storage), FPT_PHP",
        "management of sensitive parameters; physical security",
        "keys are protected where they lie",
        _PARTIAL,
        ("usage",),
        (f"{_UNIT}/keystore",),
        "sealed at rest under a master key in a file or a credential of the service manager; no hardware module, no"
        " protection against whoever controls the machine.",
        f"{_CONTENTS} (FCS_CKM); FPT_PHP by title; {_AREA}",
    ),
    Family(
        "FCS_CKM (destruction)",
        "7.9, management of sensitive parameters",
        "keys are destroyed after use and on demand",
        _PARTIAL,
        ("usage",),
        (f"{_UNIT}/keystore", f"{_UNIT}/access/test_zeroizing.py"),
        "wrapping keys are destroyed, so that nothing sealed can be read again; Python cannot promise that no copy"
        " stays in memory.",
        f"{_CONTENTS}; 7.9 confirmed against its quotation in OpenSSL, for zeroisation",
    ),
    Family(
        "FCS_COP",
        "management of sensitive parameters",
        "algorithms are named and right",
        _EVIDENCE,
        ("self_tests", "components"),
        (f"{_UNIT}/selftest/test_known_answers.py",),
        "published vectors where there are any",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "FPT_FLS, FRU_FLT",
        "self-tests",
        "failures leave a secure state",
        _EVIDENCE,
        ("self_tests", "audit"),
        (f"{_UNIT}/audit/test_audit_disk.py", f"{_UNIT}/metrics/test_disk.py"),
        "nothing is handed out without audit log, store, self-tests and agreement of the other site",
        f"confirmed against Common Criteria part 2, version 2.1 (FPT_FLS); FRU_FLT by title; {_AREA}",
    ),
    Family(
        "FTP_ITC",
        "module interfaces",
        "the classical channel and the interfaces are authenticated",
        _EVIDENCE,
        ("configuration",),
        ("tests/unit/postprocess/channel/test_auth_attacks.py", f"{_UNIT}/kme"),
        "one-time authentication between nodes; TLS between sites and to applications",
        "by title",
    ),
    Family(
        "FDP_UCT, FDP_UIT (relay)",
        "management of sensitive parameters",
        "keys keep secret and whole over trusted nodes",
        _PARTIAL,
        ("usage",),
        (f"{_UNIT}/relay",),
        "a one-time pad on each hop; every node on the way knows the key",
        f"{_CONTENTS}; {_AREA}",
    ),
    Family(
        "ALC_CMC, ALC_CMS",
        "life-cycle assurance",
        "the parts of the product are known",
        _EVIDENCE,
        ("components", "versions", "integrity"),
        (f"{_UNIT}/evidence/test_sbom.py",),
        "CycloneDX list of everything that is installed for it, digest of its own files",
        "by title",
    ),
    Family(
        "AVA_VAN",
        "mitigation of other attacks",
        "attacks are known, mitigated or named as gaps",
        _PARTIAL,
        ("threats",),
        ("tests/attacks/test_rates.py", "tests/attacks/test_protocol.py"),
        "the threat model lists each attack with its countermeasure or gap; no independent analysis was made.",
        "by title",
    ),
    Family(
        "FPT_EMS, optical attacks",
        "physical security; non-invasive security",
        "light that goes in or comes out of the devices",
        _OUTSIDE,
        ("threats",),
        (),
        "a matter of isolators, monitors and detectors; the software sees clicks and settings only",
        "by title",
    ),
    Family(
        "ATE_IND, AVA by a laboratory",
        "-",
        "tests by somebody else",
        _OUTSIDE,
        (),
        (),
        "an evaluation by an accredited laboratory has not taken place",
        "by title",
    ),
)

SECTIONS: Final = {
    "versions": "programs and libraries in use",
    "components": "every installed part, as sbom.cdx.json in CycloneDX",
    "integrity": "digest of the installed files, and the manifest they were compared with",
    "self_tests": "known answers with their origin, and the start-up test of the random source",
    "permissions": "who may do what",
    "configuration": "hashes of the configuration and the certificates in force",
    "audit": "verification of the audit log",
    "usage": "what became of each key, as usage.jsonl",
    "epsilon": "failure probabilities, added up",
    "threats": "docs/explanation/threat-model.md of this version",
}
"""Sections of the pack, and what each holds."""
