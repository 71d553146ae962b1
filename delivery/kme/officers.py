"""Give new sites crypto officers: an authority and a key for each, and from then on the rule of two persons."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from faintlink.core.errors import ConfigError
from faintlink.delivery.kme.config_text import changed, put
from faintlink.delivery.pki.authority import DAYS, Authority, make_folder

_KIND = "officers"


def add_officers(folders: Sequence[Path], names: Sequence[str], *, days: int = DAYS) -> list[Path]:
    """Name officers at sites that `make_sites` has just made, and return the folders of their keys.

    Parameters
    ----------
    folders
        Of the sites, beside each other and beside ``ca``.
    names
        Two or more.
    days
        How long their certificates are valid.

    Raises
    ------
    ConfigError
        They are fewer than two, or a name is none.
    RunExistsError
        There are officers already.
    """
    if len(set(names)) < 2:
        raise ConfigError("the rule of two persons takes two", hint="name at least two with --officer")
    out = folders[0].parent
    urns = {name: f"urn:faintlink:officer:{name}" for name in names}
    officers = {"authority": f"tls/{_KIND}-authority.crt", "revoked": f"tls/{_KIND}.crl", "enrolled": urns}
    texts = {folder: changed(folder, lambda data: data.update(officers=officers)) for folder in folders}
    authority = Authority.create(out / "ca", _KIND, days=days)
    for folder, text in texts.items():
        shutil.copy(authority.certificate_file, folder / "tls" / f"{_KIND}-authority.crt")
        shutil.copy(authority.crl_file, folder / "tls" / f"{_KIND}.crl")
        put(folder, text)
    places = []
    for name, urn in urns.items():
        places.append(make_folder(out / _KIND / name, hint="choose another name"))
        authority.issue(urn, days=days).write(places[-1], "officer")
    return places
