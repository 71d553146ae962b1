"""The ``faintlink`` command: subcommands are found by entry points, so that this floor imports nobody.

An installed distribution adds a subcommand with an entry point of the group ``faintlink.commands``. Errors of the
tree in `faintlink.core.errors` end as one message with a remedy and an exit code, never as a traceback.

Exit codes: 0 done; 1 a fault of this program; 2 wrong usage or configuration; 3 a file cannot be used;
4 no key, for a security reason; 5 an instrument or its stream failed; 6 the classical protocol broke;
7 key delivery; 8 finished, but analyses differ or some runs failed; 130 interrupted.
"""

import logging
import os
import sys
from importlib.metadata import EntryPoint, entry_points

import click

from faintlink.core import __version__, errors
from faintlink.core.log import configure

GROUP = "faintlink.commands"

EXIT_CODES: tuple[tuple[type[errors.FaintlinkError], int], ...] = (
    (errors.ConfigError, 2),
    (errors.RunfileError, 3),
    (errors.SecurityAbort, 4),
    (errors.HardwareError, 5),
    (errors.StreamError, 5),
    (errors.ProtocolError, 6),
    (errors.DeliveryError, 7),
)
"""Exit code by branch of the error tree."""
EXIT_OS = 3
EXIT_UNLIKE = 8
"""Analyses differ, or some runs of a campaign failed."""
"""Exit code where the operating system refuses a file."""


class PluginGroup(click.Group):
    """A group whose subcommands are entry points, loaded when asked for."""

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all subcommands."""
        return sorted(self._points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a subcommand, loading it; one that cannot be loaded says why when it is called."""
        point = self._points().get(cmd_name)
        if point is None:
            return None
        try:
            command = point.load()
        except Exception as error:  # a plug-in is foreign code: whatever it raises, the others must work
            logging.getLogger(__name__).debug("command %s cannot be loaded", cmd_name, exc_info=error)
            return _unavailable(cmd_name, f"{type(error).__name__}: {error}")
        if not isinstance(command, click.Command):
            return _unavailable(cmd_name, f"entry point {point.value} is not a command")
        return command


def _unavailable(name: str, reason: str) -> click.Command:
    def refuse() -> None:
        raise errors.ConfigError(
            f"the command {name} is not available: {reason}",
            hint="install the part of faintlink or the plug-in that it belongs to",
        )

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    summary = f"(not available: {reason})"
    return click.Command(name, context_settings=settings, callback=refuse, help=summary, short_help=summary)


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faintlink")
@click.option("-v", "--verbose", count=True, help="Say more; twice for every detail.")
def cli(verbose: int) -> None:
    """Acquire time tags from a quantum link and turn them into secret keys."""
    configure(verbose)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with ``arguments`` and return the exit code."""
    try:
        result = cli.main(arguments, prog_name="faintlink", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; anything more would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except errors.FaintlinkError as error:
        return _report(error)
    except OSError as error:
        # A full disk or a missing permission is no fault of the program.
        logging.getLogger(__name__).debug("details", exc_info=error)
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return EXIT_OS


def _report(error: errors.FaintlinkError) -> int:
    logging.getLogger(__name__).debug("details", exc_info=error)
    click.echo(f"{type(error).__name__}: {error}", err=True)
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
