"""No report ever holds a bit of a key."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest

from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.report import document, figures, html

Make = Callable[..., Analysis]


def _spellings(key: bytes) -> list[bytes]:
    """Return the ways in which 8 bytes of the key could stand in a file."""
    part = key[:8]
    bits = "".join(f"{byte:08b}" for byte in part)
    spelled = [
        part.hex(),
        part.hex().upper(),
        part.hex(" "),
        part.hex(":"),
        bits,
        ", ".join(bits),
        " ".join(bits),
        ", ".join(str(byte) for byte in part),
        " ".join(str(byte) for byte in part),
        ", ".join(hex(byte) for byte in part),
        str(int.from_bytes(part, "big")),
        str(int.from_bytes(key, "big")),
        repr(part)[2:-1],
    ]
    encoded = [part, part[::-1], key[::-1][:8]]
    for shift in range(3):
        # Base64 of a text that holds the key depends on where in the text it begins.
        aligned = key[shift : shift + 9]
        encoded += [b64encode(aligned), urlsafe_b64encode(aligned)]
    return [*(text.encode() for text in spelled), *encoded]


def test_the_search_finds_a_key_that_leaks(canary: bytes) -> None:
    leaks = (canary, canary.hex().encode(), b64encode(canary), b64encode(b"x" + canary), str(list(canary)).encode())
    for leak in leaks:
        assert any(spelling in leak for spelling in _spellings(canary))


@pytest.mark.parametrize("name", ["rusca2018", "tomamichel2012"])
def test_no_report_holds_the_key_in_any_spelling(name: str, make_analysis: Make, canary: bytes) -> None:
    analysis = make_analysis(name)
    assert next(iter(analysis.blocks[0].keys.values())).data == canary
    reports = {
        "json": json.dumps(document.analysis_document(analysis)).encode(),
        "html": html.page(analysis).encode(),
        "png": figures.picture_png(analysis),
    }
    for kind, report in reports.items():
        for spelling in _spellings(canary):
            assert spelling not in report, (kind, spelling)
