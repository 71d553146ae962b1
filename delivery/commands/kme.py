"""``faintlink kme``: hand keys to applications at two sites."""

from pathlib import Path

import click

_FOLDER = click.argument("folder", metavar="SITE", type=click.Path(path_type=Path))
_CA = click.option("--ca", type=click.Path(path_type=Path), help="Folder of the authorities; beside SITE by default.")


@click.group("kme")
def kme() -> None:
    """Hand keys to applications, as ETSI GS QKD 014 says it."""


@kme.command("pki")
@click.option("--pair", "pairs", nargs=2, multiple=True, required=True, help="Two sites with a link; once per link.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the sites' folders.")
@click.option("--host", "hosts", nargs=2, multiple=True, help="A site and its host name or address.")
@click.option("--first-port", default=8443, show_default=True, type=click.IntRange(1, 65000), help="Two for each site.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650), help="Life of the certificates.")
def pki(
    pairs: tuple[tuple[str, str], ...], out: Path, hosts: tuple[tuple[str, str], ...], first_port: int, days: int
) -> int:
    """Make the folders of sites, with certificates of a development authority and one application each.

    OUT/ca can make identities: keep it off the sites.
    """
    from faintlink.delivery.kme.provision import Plan, application_of, make_sites

    for folder in make_sites(out, Plan(pairs, dict(hosts), first_port, days)):
        click.echo(f"made {folder} with the application {application_of(folder.name)}")
    click.echo(f"start each site with: faintlink kme serve {out}/SITE")
    return 0


@kme.command("enroll")
@_FOLDER
@click.argument("name")
@_CA
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650), help="Life of its certificate.")
@click.option("--revoke", "is_over", is_flag=True, help="Take the application off again instead.")
def enroll(folder: Path, name: str, ca: Path | None, days: int, *, is_over: bool) -> int:
    """Give the application NAME of a site a key and a certificate; a running site takes it over on SIGHUP."""
    from faintlink.delivery.kme import provision

    if is_over:
        provision.revoke(folder, name, ca=ca)
        click.echo(f"revoked {name}; a running site turns it away from now on")
        return 0
    click.echo(f"enrolled {name}: carry {provision.enroll(folder, name, ca=ca, days=days)} to it")
    known = provision.neighbours(folder)
    click.echo(f"sites that know its name: {', '.join(path.name for path in known) or 'none beside this one'}")
    return 0


@kme.command("serve")
@_FOLDER
def serve(folder: Path) -> int:
    """Run a site until it is told to end."""
    from faintlink.delivery.kme.running import serve
    from faintlink.delivery.kme.site import Site

    def tell(site: Site) -> None:
        host, port = site.config.applications.host, site.ports["applications"]
        click.echo(f"{site.config.site} serves applications on https://{host}:{port}")

    serve(folder, on_ready=tell)
    return 0


@kme.command("status")
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@click.option("--compare", is_flag=True, help="Have the ledgers compared first.")
def status(folder: Path, *, as_json: bool, compare: bool) -> int:
    """Say how a running site fares; exit code 7 when a peer is away."""
    import json

    from faintlink.delivery.kme.admin import ask
    from faintlink.delivery.kme.config import load_kme

    seen = ask(folder, load_kme(folder).admin_socket, "POST /compare" if compare else "GET /status")
    if as_json:
        click.echo(json.dumps(seen, indent=1))
    else:
        click.echo(f"{seen['site']}: up for {seen['up_s']:,.0f} s, {seen['applications']} applications")
        for name, peer in seen["peers"].items():
            way = "up" if peer["is_up"] else f"away ({peer['problem']})"
            click.echo(
                f"  {name}: {way}; {peer['units']['ours']:,} units for keys from here, "
                f"{peer['units']['theirs']:,} from there; {peer['keys_waiting']} keys wait to be fetched; "
                f"{peer['last_differences']} differences when last compared"
            )
    return 0 if all(peer["is_up"] for peer in seen["peers"].values()) else 7
