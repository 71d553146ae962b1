"""Build hook: an editable install sees the top-level folders as the package ``faintlink``.

An editable install adds one folder, ``.links``, to the import path. It holds ``faintlink/<folder>`` links to
the folders at the top of the repository, so that ``import faintlink.core`` works and ``import core`` does not.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("core", "drivers", "instruments", "acquisition", "postprocess", "delivery", "lab_configs")


class LinkFolders(BuildHookInterface):
    """Make the links of an editable install; a wheel needs none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if version != "editable":
            return
        links = Path(self.root) / ".links" / "faintlink"
        links.mkdir(parents=True, exist_ok=True)
        for folder in FOLDERS:
            _link(links / folder, Path(self.root) / folder)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() or link.exists():
        return
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(target), str(link))
    else:
        link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
