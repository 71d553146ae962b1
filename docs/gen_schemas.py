"""Write the schemas of link, station and network files into lab_configs/, for completion in editors.

The first comes from the models of the link file, the second from the schema of QCoDeS with the classes of this project
filled in; `qcodes.station.update_config_schema` would write the same below the user's home, with all of QCoDeS' own
drivers. Run as ``python docs/gen_schemas.py``; tests compare the files with what this would write. An editor with the
YAML language server uses them by a first line ``# yaml-language-server: $schema=link.schema.json``.
"""

import importlib
import inspect
import json
import pkgutil
from pathlib import Path

from qcodes.instrument import Instrument
from qcodes.station import SCHEMA_TEMPLATE_PATH

import faintlink.drivers
import faintlink.instruments.mocks
from faintlink.core.config.link import LinkConfig
from faintlink.delivery.network.config import SimulatedNetwork
from faintlink.instruments.station_file import ENTRY_KEYS

FOLDER = Path(__file__).resolve().parent.parent / "lab_configs"


def schema() -> str:
    """Return the JSON Schema of a link file."""
    return json.dumps(LinkConfig.model_json_schema(), indent=1) + "\n"


def network_schema() -> str:
    """Return the JSON Schema of a file of a simulated network."""
    return json.dumps(SimulatedNetwork.model_json_schema(), indent=1) + "\n"


def station_schema() -> str:
    """Return the JSON Schema of a station file: that of QCoDeS, as strict as `read_station_file`.

    Any dotted path is a type; those of this project are offered for completion.
    """
    data = json.loads(Path(SCHEMA_TEMPLATE_PATH).read_text(encoding="utf-8"))
    data["title"] = "faintlink.station"
    data["required"] = ["instruments"]
    data["definitions"]["instruments"]["enum"] = instrument_types()
    (entry,) = data["properties"]["instruments"]["patternProperties"].values()
    entry["properties"] = {key: entry["properties"][key] for key in ENTRY_KEYS}
    return json.dumps(data, indent=1) + "\n"


def instrument_types() -> list[str]:
    """Return the dotted paths of all instruments of this project that a station file may name."""
    found = []
    for package in (faintlink.drivers, faintlink.instruments.mocks):
        for item in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Modules that lie directly among the drivers hold base classes.
            if item.ispkg or (package is faintlink.drivers and item.name.count(".") < 3):
                continue
            for name, value in inspect.getmembers(importlib.import_module(item.name), inspect.isclass):
                is_own = value.__module__ == item.name and not name.startswith("_")
                if is_own and issubclass(value, Instrument) and name != "MockInstrument":
                    found.append(f"{item.name}.{name}")
    return found


if __name__ == "__main__":
    (FOLDER / "link.schema.json").write_text(schema())
    (FOLDER / "station.schema.json").write_text(station_schema())
    (FOLDER / "network.schema.json").write_text(network_schema())
