"""``faintlink kme``: hand keys to applications at two sites."""

from pathlib import Path

import click

from faintlink.delivery.commands.trust import apply, approve, change

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
@click.option("--officer", "officers", multiple=True, help="A crypto officer; two or more turn on the rule of two.")
def pki(
    pairs: tuple[tuple[str, str], ...],
    out: Path,
    hosts: tuple[tuple[str, str], ...],
    first_port: int,
    days: int,
    officers: tuple[str, ...],
) -> int:
    """Make the folders of sites, with certificates of a development authority and one application each.

    OUT/ca can make identities: keep it off the sites. Each folder of OUT/officers belongs to that officer alone.
    """
    from faintlink.delivery.kme.officers import add_officers
    from faintlink.delivery.kme.provision import Plan, application_of, make_sites

    folders = make_sites(out, Plan(pairs, dict(hosts), first_port, days))
    for place in add_officers(folders, officers, days=days) if officers else []:
        click.echo(f"made {place} for that officer alone")
    for folder in folders:
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
        is_noted = provision.revoke(folder, name, ca=ca)
        click.echo(f"revoked {name}; a running site turns it away from now on")
        if not is_noted:
            click.echo("THE AUDIT LOG COULD NOT NOTE IT: write it down by hand", err=True)
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

    from faintlink.delivery.kme.asking import ask
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


@kme.command("backup")
@_FOLDER
@click.option("--to", required=True, type=click.Path(path_type=Path), help="New file for the records.")
def backup(folder: Path, to: Path) -> int:
    """Write the records of a site's key store, and none of its keys, into a new file.

    A site that runs does it itself, and answers nobody meanwhile: a second or two for each 50,000 keys on record.
    """
    from faintlink.delivery.access import Action, name_of_user, require_of_user
    from faintlink.delivery.kme.backing import back_up

    require_of_user(Action.BACK_UP)
    done = back_up(folder, to, by=name_of_user())
    click.echo(f"wrote {done.rows:,} records and no key to {to}, SHA-256 {done.sha256}")
    return 0


@kme.command("restore")
@_FOLDER
@click.option(
    "--from", "source", required=True, type=click.Path(path_type=Path), help="Newest backup of this site's store."
)
def restore(folder: Path, source: Path) -> int:
    """Make the lost key store of a stopped site anew from a backup and from the site's audit log.

    No key that was handed out is handed out again, and every key that was not is given up.
    """
    from faintlink.delivery.access import Action, name_of_user, require_of_user
    from faintlink.delivery.kme.backing import restore

    require_of_user(Action.RESTORE)
    done = restore(folder, source, by=name_of_user())
    click.echo(
        f"restored {done.rows:,} records; from the audit log {done.keys_since:,} keys that were settled and "
        f"{done.blocks_since:,} blocks that came in since"
    )
    click.echo(f"start the site: its ledger is compared with those of its peers; faintlink kme serve {folder}")
    return 0


@kme.command("recover")
@_FOLDER
def recover(folder: Path) -> int:
    """Make the key store of a stopped site usable again that is refused, lost its master key, or was zeroized.

    Its records stay; all its keys and stock are given up, since any of them may have been handed out.
    """
    from faintlink.delivery.access import Action, name_of_user, require_of_user
    from faintlink.delivery.kme.backing import recover

    require_of_user(Action.RESTORE)
    done = recover(folder, by=name_of_user())
    click.echo(f"recovered: {done.keys:,} keys and {done.units:,} units of stock were given up")
    click.echo(f"start the site: its ledger is compared with those of its peers; faintlink kme serve {folder}")
    return 0


kme.add_command(change)
kme.add_command(approve)
kme.add_command(apply)
