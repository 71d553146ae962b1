"""The reference page says what the program does."""

import re

from faintlink.delivery.etsi014 import service
from faintlink.delivery.etsi014.settings import Api014Settings
from faintlink.delivery.etsi014.source import PoolAgreement
from faintlink.delivery.keystore.origins import Origin
from tests.data import ROOT
from tests.unit.delivery.etsi014.cases import CASES
from tests.unit.delivery.etsi014.extension_cases import OFFERED_CASES

PAGE = (ROOT / "docs" / "reference" / "etsi-014.md").read_text()


def rows(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_every_message_on_the_page_is_sent_with_its_status() -> None:
    unasked = (service.INSUFFICIENT, service.PEER_UNAVAILABLE, service.DATA_ACCESS, service.TOO_MANY)
    sent = {
        (case.status, bytes(case.body).decode().partition('{"message":"')[2].partition('"')[0])
        for case in (*CASES, *OFFERED_CASES)
    }
    sent |= {(503, message) for message in unasked}
    told = {
        (int(row[0].split()[0]), message) for row in rows("Answers") for message in re.findall("`([a-z].*?)`", row[2])
    }
    assert told - sent == {(400, "details")}
    assert len(told) > 12


def test_every_status_on_the_page_is_one_of_the_cases_or_needs_a_site_in_trouble() -> None:
    told = {int(row[0].split()[0]) for row in rows("Answers")}
    assert told == {case.status for case in CASES} | {408, 503}


def test_the_page_lists_all_settings_with_their_defaults() -> None:
    settings = Api014Settings().model_dump()
    settings |= {f"rate.{name}": value for name, value in settings.pop("rate").items()}
    told = {
        name.strip("` "): value.strip()
        for row in rows("Settings")
        for name, value in zip(row[0].split(","), row[1].split(","), strict=True)
    }
    numbers = {name: float(value) for name, value in told.items() if value != "none"}
    assert numbers | {name: () for name, value in told.items() if value == "none"} == settings


def test_the_page_says_which_origins_there_are_and_in_which_order() -> None:
    ((_, told), *_) = rows("Provenance")
    assert re.findall(r"`(\w+)`:", told) == list(Origin)


def test_the_page_lists_all_fields_of_an_agreement() -> None:
    told = [name.strip("` ") for row in rows("Pool the keys of commercial devices") for name in row[0].split(",")]
    assert told == list(PoolAgreement.model_fields)
