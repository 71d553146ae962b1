"""Write lab_configs/link.schema.json from the models of the link file, for completion in editors.

Run as ``python docs/gen_schemas.py``; a test compares the file with what this would write. An editor with the YAML
language server uses it by a first line ``# yaml-language-server: $schema=link.schema.json``.
"""

import json
from pathlib import Path

from faintlink.core.config.link import LinkConfig

FILE = Path(__file__).resolve().parent.parent / "lab_configs" / "link.schema.json"


def schema() -> str:
    """Return the JSON Schema of a link file."""
    return json.dumps(LinkConfig.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema())
