"""Write docs/reference/hardware.md from the drivers themselves, so that the page cannot go stale.

Run as ``python docs/gen_hardware_reference.py``; a test compares the page with what this would write.
"""

import importlib
import inspect
import pkgutil
from pathlib import Path

from qcodes.instrument import Instrument

import faintlink.drivers
from faintlink.drivers.base import DriverMixin

PAGE = Path(__file__).resolve().parent / "reference" / "hardware.md"
INTRODUCTION = """# Hardware

<!-- Written by docs/gen_hardware_reference.py from the drivers; do not edit. -->

Every driver is tested against an emulator that answers the documented bytes over the real kind of transport. That
shows that driver and emulator agree, not that a device does: the last column says who tried it on which device. A
driver's module names its sources and what could not be checked.

| Driver | Device | Tried on hardware |
| --- | --- | --- |
"""


def drivers() -> list[type[DriverMixin]]:
    """Return all drivers by module and name; channels of a box are not listed by themselves."""
    found = []
    for item in pkgutil.walk_packages(faintlink.drivers.__path__, "faintlink.drivers."):
        if item.ispkg or item.name.count(".") < 3 or ".transport." in item.name:
            continue
        module = importlib.import_module(item.name)
        for name, value in inspect.getmembers(module, inspect.isclass):
            is_own = value.__module__ == item.name and not name.startswith("_")
            if is_own and issubclass(value, DriverMixin) and issubclass(value, Instrument):
                found.append(value)
    return found


def page() -> str:
    """Return the whole page."""
    rows = []
    for driver in drivers():
        about = " ".join((inspect.getdoc(importlib.import_module(driver.__module__)) or "").split("\n\n")[0].split())
        tried = driver.verified_on_hardware or "not yet"
        rows.append(f"| `{driver.__module__.removeprefix('faintlink.')}.{driver.__name__}` | {about} | {tried} |")
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
