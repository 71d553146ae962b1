"""Make the folders of sites with a development PKI, enroll applications, and take them off again.

::

    <out>/
        ca/                  both authorities; whoever has this folder can make identities: keep it off the sites
        <site>/
            kme.yaml         its configuration
            tls/             its certificates, both authorities' certificates and lists of revoked ones
            applications/    one folder per enrolled application, to be carried to it
            audit/           its audit log, which begins with who was enrolled

Whoever is enrolled is noted in the site's audit log before the site can let them in.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from faintlink.core.errors import ConfigError, DeliveryError
from faintlink.delivery.access import name_of_user
from faintlink.delivery.kme import config_text
from faintlink.delivery.kme.config import FILE_NAME, FORMAT, load_kme
from faintlink.delivery.kme.noting import noting
from faintlink.delivery.kme.trust import require_one_person
from faintlink.delivery.ledger.messages import SaeName, SiteName
from faintlink.delivery.pki.authority import DAYS, Authority, fingerprint, make_folder, require_free
from faintlink.delivery.witness import Event, Fact

_log = logging.getLogger(__name__)
FIRST_PORT = 8443
_KINDS = ("applications", "peers")
_LISTENERS = {"applications": "applications", "sites": "peers"}
"""Authority of each listener."""
_AGAIN = "revoke it first, and remove its folder"
_NAMES = {"site": TypeAdapter(SiteName), "application": TypeAdapter(SaeName)}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which sites there are and how they are linked."""

    links: Sequence[tuple[str, str]]
    """Pairs of sites."""
    hosts: Mapping[str, str]
    """Host name or address by site; one that is not named is on this machine."""
    first_port: int = FIRST_PORT
    """Sites on one machine take two ports each, from here on."""
    days: int = DAYS
    """How long certificates are valid."""

    @property
    def sites(self) -> list[str]:
        """Names of all sites, in order of appearance."""
        return list(dict.fromkeys(site for link in self.links for site in link))

    def host(self, site: str) -> str:
        """Return where a site is reached."""
        return self.hosts.get(site, "127.0.0.1")

    def monitoring_port(self, site: str) -> int:
        """Return where a site answers about its health, on its own machine only."""
        return self.first_port + 1000 + self.sites.index(site)

    def ports(self, site: str) -> tuple[int, int]:
        """Return a site's ports for applications and for sites."""
        first = self.first_port + 2 * self.sites.index(site)
        return first, first + 1


def make_sites(out: Path, plan: Plan) -> list[Path]:
    """Make the folders of all sites, each with one enrolled application, and return them.

    Raises
    ------
    ConfigError
        A name is not one of a site.
    RunExistsError
        ``out`` exists.
    """
    for site in plan.sites:
        _require_name("site", site)
    if any(len(set(link)) != 2 for link in plan.links):
        raise ConfigError("a link joins two different sites", hint="name two sites with --pair")
    make_folder(out, hint="choose another --out")
    authorities = {kind: Authority.create(out / "ca", kind, days=plan.days) for kind in _KINDS}
    folders = [_make_site(out / site, site, plan, authorities) for site in plan.sites]
    for folder in folders:
        enroll(folder, application_of(folder.name), days=plan.days)
    return folders


def application_of(site: str) -> str:
    """Return the name of the application that every new site has."""
    return f"sae-{site}"


def site_urn(site: str) -> str:
    """Return whom a site's certificate names."""
    return f"urn:faintlink:kme:{site}"


def tls_name(site: str) -> str:
    """Return the DNS name in a site's certificate, which does not depend on its address."""
    return f"{site}.kme.internal"


def _make_site(folder: Path, site: str, plan: Plan, authorities: Mapping[str, Authority]) -> Path:
    tls = make_folder(folder, hint="choose another --out") / "tls"
    tls.mkdir(mode=0o700)
    hosts = list(dict.fromkeys([tls_name(site), plan.host(site), "localhost", "127.0.0.1"]))
    for kind, authority in authorities.items():
        issued = authority.issue(site_urn(site), hosts=hosts, is_server=True, is_client=kind == "peers", days=plan.days)
        issued.write(tls, kind)
        shutil.copy(authority.certificate_file, tls / f"{kind}-authority.crt")
        shutil.copy(authority.crl_file, tls / f"{kind}.crl")
    text = config_text.text_of(_config(site, plan))
    config = config_text.parsed(text, folder)
    trusted = fingerprint(authorities["peers"].certificate_file.read_bytes())
    with noting(folder, config) as witness:
        for peer in config.peers:
            about = {"kind": "site", "name": peer.name, "urn": peer.urn, "authority": trusted}
            witness.note(Fact(Event.ENROLLED, name_of_user(), about))
    config_text.put(folder, text)
    return folder


def _config(site: str, plan: Plan) -> dict[str, Any]:
    peers = [other for link in plan.links if site in link for other in link if other != site]
    return {
        "format": FORMAT,
        "site": site,
        **{
            listener: _listener(plan.host(site), port, _LISTENERS[listener])
            for listener, port in zip(_LISTENERS, plan.ports(site), strict=True)
        },
        "own": {},
        "peers": [
            {
                "name": peer,
                "url": f"https://{_in_url(plan.host(peer))}:{plan.ports(peer)[1]}",
                "urn": site_urn(peer),
                "tls_name": tls_name(peer),
                "applications": [],
            }
            for peer in peers
        ],
        "monitoring_port": plan.monitoring_port(site),
    }


def _listener(host: str, port: int, kind: str) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "certificate": f"tls/{kind}.crt",
        "key": f"tls/{kind}.key",
        "authority": f"tls/{kind}-authority.crt",
        "revoked": f"tls/{kind}.crl",
    }


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def enroll(folder: Path, name: str, *, ca: Path | None = None, days: int = DAYS) -> Path:
    """Give an application of a site a key and a certificate, and let the sites beside it know its name.

    Parameters
    ----------
    folder
        Of the site.
    name
        Of the application.
    ca
        Folder of the authorities; beside the site's folder unless it is named.
    days
        How long its certificate is valid.

    Returns
    -------
    Path
        The application's new folder: its key, its certificate, and the authority that the site's certificate is from.

    Raises
    ------
    ConfigError
        The name is no name, is taken, or there is no authority.
    RunExistsError
        It was enrolled before.
    AuditError
        It cannot be noted; nothing was changed.
    AccessDeniedError
        It takes two persons at this site.
    """
    _require_name("application", name)
    config = load_kme(folder)
    if name in config.own or config.peer_of(name):
        raise ConfigError(f"there is an application {name!r} already", hint="choose another name")
    require_one_person(folder, config)
    authority = Authority(ca or folder.parent / "ca", "applications")
    urn = f"urn:faintlink:sae:{name}"
    issued = authority.issue(urn, days=days)
    bundle = folder / "applications" / name
    about = {"kind": "application", "name": name, "urn": urn, "certificate": fingerprint(issued.certificate)}
    with noting(folder, config) as witness:
        require_free(bundle, hint=_AGAIN)
        witness.note(Fact(Event.ENROLLED, name_of_user(), about))
        make_folder(bundle, hint=_AGAIN)
    issued.write(bundle, "client")
    shutil.copy(authority.certificate_file, bundle / "authority.crt")
    config_text.put(folder, config_text.changed(folder, lambda data: data["own"].update({name: urn})))
    for other in neighbours(folder):
        config_text.put(other, config_text.changed(other, lambda data: _behind(data, config.site).append(name)))
    return bundle


def revoke(folder: Path, name: str, *, ca: Path | None = None) -> bool:
    """Revoke an application's certificate, put the new list into force, and return whether that could be noted.

    Raises
    ------
    ConfigError
        There is no such application, or no authority.
    """
    config = load_kme(folder)
    certificate = folder / "applications" / name / "client.crt"
    if name not in config.own or not certificate.is_file():
        raise ConfigError(f"no application {name!r} is enrolled in {folder}", hint="look into its kme.yaml")
    authority = Authority(ca or folder.parent / "ca", "applications")
    about = {"kind": "application", "name": name, "certificate": fingerprint(certificate.read_bytes())}
    is_noted = True
    try:
        with noting(folder, config) as witness:
            witness.note(Fact(Event.REVOKED, name_of_user(), about))
    except DeliveryError as error:
        # Somebody who must go has to go above all when something is wrong with the site.
        _log.critical("revoking %s is not noted: %s", name, error.message)
        is_noted = False
    authority.revoke(certificate.read_bytes())
    # No other site ever sees an application's certificate: this site's list is the one that counts.
    target = folder / config.applications.revoked
    fresh = target.with_suffix(".new")
    shutil.copy(authority.crl_file, fresh)
    fresh.replace(target)
    return is_noted


def neighbours(folder: Path) -> list[Path]:
    """Return the folders of a site's peers that stand beside its own."""
    beside = [folder.parent / peer.name for peer in load_kme(folder).peers]
    return [path for path in beside if (path / FILE_NAME).is_file()]


def _behind(data: dict[str, Any], site: str) -> list[str]:
    names: list[str] = next(peer["applications"] for peer in data["peers"] if peer["name"] == site)
    return names


def _require_name(what: str, name: str) -> None:
    try:
        _NAMES[what].validate_python(name)
    except ValidationError:
        raise ConfigError(
            f"{name!r} is no name of a {what}", hint="letters, digits and hyphens; an application's up to 64"
        ) from None
