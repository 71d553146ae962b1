"""``faintlink zeroize``: destroy all keys of a site, by two persons."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faintlink.delivery.access import Identity

WISHES = Path("/run/faintlink-wishes")


@click.command("zeroize")
@click.argument("folder", metavar="SITE", type=click.Path(path_type=Path))
@click.option("--ask", "is_wish", is_flag=True, help="Leave the wish of your own account; both persons do.")
@click.option("--wishes", default=WISHES, show_default=True, type=click.Path(path_type=Path), help="Folder of wishes.")
def zeroize(folder: Path, wishes: Path, *, is_wish: bool) -> int:
    """Destroy all keys of the stopped site in SITE, so that no copy of its store can be read again.

    A crypto officer and a second officer or an operator run it with --ask, each with the own account. Within ten
    minutes the site's account runs it without.
    """
    from faintlink.delivery.zeroizing import Wishes, two_persons

    place, site = Wishes(wishes), folder.absolute().name
    if is_wish:
        click.echo(f"left {place.leave(site)}; it counts for ten minutes")
        return 0
    persons = two_persons(place, site)
    is_noted = _destroy(folder, persons)
    place.forget(site)
    click.echo(f"all keys of {site} are destroyed, as {persons[0].name} and {persons[1].name} wanted")
    if not is_noted:
        click.echo("THE AUDIT LOG COULD NOT NOTE IT: write it down by hand", err=True)
    return 0


def _destroy(folder: Path, persons: "tuple[Identity, Identity]") -> bool:
    from contextlib import ExitStack

    from faintlink.core.errors import AuditError
    from faintlink.delivery.kme.config import load_kme
    from faintlink.delivery.kme.noting import opened_audit
    from faintlink.delivery.kme.stores import opened_to_destroy
    from faintlink.delivery.witness import SilentWitness, Witness
    from faintlink.delivery.zeroizing import zeroize as destroy

    config = load_kme(folder)
    with ExitStack() as stack:
        witness: Witness = SilentWitness()
        has_log = True
        try:
            witness = stack.enter_context(opened_audit(folder, config))
        except AuditError as error:
            click.echo(f"the audit log cannot be opened: {error.message}", err=True)
            has_log = False
        return destroy(stack.enter_context(opened_to_destroy(folder, config)), witness, persons=persons) and has_log
