"""From a network file, or from nothing, to a folder of figures."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faintlink.core
from faintlink.delivery.network import figures
from faintlink.delivery.network.config import load_network
from faintlink.delivery.network.links import distil
from faintlink.delivery.network.rates import link_rates
from faintlink.delivery.network.simulation import simulate
from faintlink.delivery.network.summary import summary
from faintlink.postprocess.report.files import write_new
from faintlink.postprocess.results import new_folder

DEMO_LINKS = (("demo", ("north", "centre")), ("bbm92", ("centre", "south")))
"""Mock links of the demonstration, and the sites that they join."""


def shipped_network(name: str = "metro") -> Path:
    """Return a network file that comes with the package."""
    return Path(faintlink.core.__path__[0]).parent / "lab_configs" / f"{name}.network.yaml"


def run_simulation(config: Path, out: Path, *, seed: int | None = None) -> dict[str, Any]:
    """Simulate the network of a file, write its figures into a new folder and return them as numbers.

    Raises
    ------
    ConfigError
        The file is wrong, with every fault.
    RunExistsError
        The folder is there already.
    """
    network = load_network(config)
    if seed is not None:
        seeded = network.simulation.model_copy(update={"seed": seed})
        network = network.model_copy(update={"simulation": seeded})
    folder = new_folder(out, Path())
    rates = link_rates(network)
    history = simulate(network, rates)
    numbers = summary(network, rates, history)
    write_new(folder / "network.json", json.dumps(numbers, indent=1).encode())
    write_new(folder / "rates.png", figures.rates_png(network, rates))
    write_new(folder / "pools.png", figures.pools_png(network, history))
    write_new(folder / "requests.png", figures.requests_png(network, history))
    return numbers


def run_demo(out: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Distil two mock links, run the three sites that they join, and return what happened, in numbers.

    Parameters
    ----------
    out
        New folder: links, sites and ``demo.json``.
    say
        Is told what is happening.

    Raises
    ------
    RunExistsError
        The folder is there already.
    NotEnoughSignalsError
        A link gave no key.
    DeliveryError
        A key was refused.
    """
    # Lets `faintlink network simulate` work where key delivery's extra is not installed.
    from faintlink.delivery.network.story import tell_story

    folder, begin = new_folder(out, Path()), time.monotonic()
    (folder / "links").mkdir()
    links = []
    for name, between in DEMO_LINKS:
        place = folder / "links" / "-".join(between)
        place.mkdir()
        links.append(distil(name, between, place, say=say))
    numbers = asyncio.run(tell_story(folder / "sites", links, say=say))
    numbers["seconds"] = round(time.monotonic() - begin, 1)
    write_new(folder / "demo.json", json.dumps(numbers, indent=1).encode())
    return numbers
