"""Configuration files: every fault at once, each with its line."""

from pathlib import Path
from typing import ClassVar

import pytest

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import load_link, parse_link, parse_yaml
from faintlink.core.config.models import StrictModel
from faintlink.core.errors import ConfigError
from tests.data import ROOT

DEMO = (ROOT / "lab_configs" / "demo.link.yaml").read_text()


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, LinkConfig, "x.yaml")
    listed: list[str] = caught.value.fields["faults"]
    assert all(fault in str(caught.value) for fault in listed)
    return listed


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


def test_the_example_is_a_link() -> None:
    link = load_link(ROOT / "lab_configs" / "demo.link.yaml")
    assert link.source is not None
    assert link.source.pulse_rate_hz == 80e6
    assert link.security.eps_sec == 1e-9
    assert link.block_slots == 800_000_000


def test_the_text_of_a_link_file_is_kept_byte_for_byte() -> None:
    assert parse_link(ROOT / "lab_configs" / "demo.link.yaml")[0] == DEMO


def test_all_faults_are_reported_at_once_each_with_its_line() -> None:
    text = (
        DEMO.replace("max_qber: 0.11", "max_qber: 0.7\n  max_gber: 0.1")
        .replace("block_s: 10.0", "block_s: ten")
        .replace("  bound: rusca2018\n", "")
        .replace("pulse_rate_hz: 80e6", "pulse_rate_hz: -1")
    )
    assert sorted(faults(text)) == sorted(
        [
            f"x.yaml:{line_of(text, 'pulse_rate_hz')}: source: pulse_rate_hz: Input should be greater than 0, got -1",
            f"x.yaml:{line_of(text, 'security')}: security: bound: required, but missing",
            f"x.yaml:{line_of(text, 'block_s')}: security: block_s: Input should be a valid number, got 'ten'",
            f"x.yaml:{line_of(text, 'max_qber')}: security: max_qber: Input should be less than 0.5, got 0.7",
            f"x.yaml:{line_of(text, 'max_gber')}: security: max_gber: unknown key",
        ]
    )


def test_a_fault_in_a_list_names_its_place() -> None:
    text = DEMO.replace("probabilities: [0.7, 0.3]", "probabilities: [0.7, 2]")
    assert faults(text) == [
        f"x.yaml:{line_of(text, 'probabilities')}: source: probabilities: [1]: "
        "Input should be less than or equal to 1, got 2"
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0.7, 0.3]", "[0.7, 0.2]", "probabilities must add to 1"),
        ("[0.5, 0.15]", "[0.15, 0.5]", "intensities must fall strictly"),
        ("[0.5, 0.15]", "[0.5, 0.15, 0.0]", "3 intensities but 2 probabilities"),
        ("4: {basis: X, bit: 1", "4: {basis: X, bit: 0", "exactly one channel for each basis and bit"),
        ("4: {basis: X, bit: 1", "4: {basis: X, bit: 0", "got X0, X0, Z0, Z1; a link of protocol bqc names all four"),
        ("protocol: bb84-decoy", "protocol: bbm92", "needs the section 'pairs'"),
        ("  bob:", "  alice:", "needs the receivers"),
        ("      4:", "      400:", r"channels must lie in 0..255"),
    ],
)
def test_what_contradicts_itself_is_refused(old: str, new: str, words: str) -> None:
    assert old in DEMO
    assert words in faults(DEMO.replace(old, new, 1))[0]


def test_a_duplicate_key_is_a_fault_with_its_line() -> None:
    assert faults("a: 1\nb:\n  c: 1\n  c: 2\n") == ["x.yaml:4: c: appears twice"]


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "just words", "42"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert faults(text) == ["x.yaml:1: expected a mapping of sections, found something else"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1, 2\nb: 3\n", "x.yaml:2: not YAML"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: not YAML"),
        ("a: \x07\n", "x.yaml:1: not YAML"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be a name or a number"),
        ("a: &x [1]\nb: *x\n", "x.yaml:2: *x: write the value out"),
        ("a: &x [*x]\n", "x.yaml:1: *x: write the value out"),
        ("a: !!python/object:os.system x\n", "x.yaml:1: "),
        ("a: " + "[" * 2000 + "]" * 2000, "x.yaml:1: nested too deeply"),
    ],
)
def test_yaml_that_cannot_be_meant_is_refused_with_its_line(text: str, fault: str) -> None:
    assert faults(text)[0].startswith(fault)


@pytest.mark.parametrize("number", ["80e6", "8.0e7", "80000000", "8E+7", ".8e8", "80_000_000.0"])
def test_floats_are_written_as_people_write_them(number: str) -> None:
    link = parse_yaml(DEMO.replace("80e6", number), LinkConfig, "x.yaml")
    assert link.source is not None
    assert link.source.pulse_rate_hz == 80e6


@pytest.mark.parametrize("number", [".nan", ".inf", '"80e6"', "true"])
def test_what_is_no_number_is_refused(number: str) -> None:
    assert "pulse_rate_hz" in faults(DEMO.replace("80e6", number))[0]


def test_a_date_is_no_name() -> None:
    assert faults(DEMO.replace("name: demo-10km", "name: 2026-01-02"))


@pytest.mark.parametrize("data", [b"\x89HDF\r\n\x1a\n\xff\xfe", b"a: \xff\n"])
def test_a_binary_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_link(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_link(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        load_link(path)


def test_the_hint_names_the_page_of_the_file_that_is_wrong() -> None:
    class Other(StrictModel):
        described_in: ClassVar[str] = "docs/other.md"
        number: int

    for text in ("number: x", "number: [", "number: 1\nnumber: 2", "- 1"):
        with pytest.raises(ConfigError) as refused:
            parse_yaml(text, Other, "other.yaml")
        assert refused.value.hint == "docs/other.md describes every field"
    with pytest.raises(ConfigError) as refused:
        parse_yaml("nothing: 1", LinkConfig, "link.yaml")
    assert "link-file.md" in refused.value.hint
