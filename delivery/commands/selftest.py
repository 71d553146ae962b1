"""``faintlink selftest``: the tests that a site runs on itself before it hands out a key."""

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command("selftest")
@click.option("--manifest", type=_PATH, help="Compare the installed files with this manifest.")
@click.option("--write-manifest", "fresh", type=_PATH, help="Make a manifest of the installed files instead.")
def selftest(manifest: Path | None, fresh: Path | None) -> int:
    """Run known-answer, random-source and integrity tests.

    Exit code 7 says that one failed: such an installation hands out no keys.
    """
    from faintlink.core.entropy import OsEntropy
    from faintlink.delivery.access import Action, require_of_user
    from faintlink.delivery.selftest import integrity
    from faintlink.delivery.selftest.known_answers import require_passed, try_all, vectors
    from faintlink.delivery.selftest.source import HealthTestedEntropy

    require_of_user(Action.RUN_SELF_TESTS)
    if fresh is not None:
        files = integrity.write_manifest(fresh)
        click.echo(f"wrote {fresh}: {len(files)} files, digest {integrity.digest(files)}")
        return 0
    results = try_all(vectors())
    for result in results:
        click.echo(f"{'passed' if result.has_passed else 'FAILED'}  {result.name}  ({result.origin})")
    require_passed(results)
    tested = HealthTestedEntropy(OsEntropy())
    click.echo(f"passed  random source, {tested.tested_bits} bits  (NIST SP 800-90B, 4.3)")
    if manifest is not None:
        click.echo(f"passed  installed files, digest {integrity.check(manifest)}")
    return 0
