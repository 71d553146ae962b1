"""Build the source distribution, a wheel from it, and import all of it in a fresh environment.

Run by ``make package`` from anywhere. The fresh environment borrows the dependencies of the one that runs this
script by a ``.pth`` file, so that nothing is downloaded; the editable install is left out of it.
"""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("core", "drivers", "instruments", "acquisition", "postprocess", "delivery")

IMPORT_ALL = """
import importlib.util, pathlib, pkgutil, sys
wheel = pathlib.Path(sys.argv[1])
names = []
for package in sys.argv[2:]:
    root = importlib.import_module(f"faintlink.{package}")
    assert wheel in pathlib.Path(root.__file__).parents, f"{root.__file__} is not from the wheel"
    names += [item.name for item in pkgutil.walk_packages(root.__path__, root.__name__ + ".")]
skipped = []
for name in names:
    if name.split(".")[1] in ("core", "postprocess"):
        importlib.import_module(name)
    else:
        skipped.append(name)
assert importlib.util.find_spec("core") is None, "the repository is on the import path"
print(f"imported {len(names) - len(skipped)} modules of core and postprocess")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its output; its errors end this script."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build(work: Path) -> Path:
    """Return a wheel built from a source distribution of the repository."""
    # Without the build back end here, `build` fetches it.
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    run(sys.executable, "-m", "build", *isolation, "--sdist", "--outdir", work, ROOT, cwd=work)
    (archive,) = work.glob("*.tar.gz")
    shutil.unpack_archive(archive, work / "source", filter="data")
    (source,) = (work / "source").iterdir()
    run(sys.executable, "-m", "build", *isolation, "--wheel", "--outdir", work, source, cwd=work)
    (wheel,) = work.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Fail unless the wheel holds all source files of the folders, under ``faintlink``, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    strange = sorted(name for name in held if not name.startswith("faintlink/") or "__pycache__" in name)
    wanted = {f"faintlink/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    wanted |= {f"faintlink/{folder}/py.typed" for folder in FOLDERS}
    wanted |= {f"faintlink/{path.relative_to(ROOT)}" for path in (ROOT / "lab_configs").glob("*.yaml")}
    if strange or wanted - held:
        sys.exit(f"the wheel holds {strange[:5]} and lacks {sorted(wanted - held)[:5]}")
    print(f"{wheel.name} holds {len(held)} files, all under faintlink/")


def fresh_environment(work: Path, wheel: Path) -> tuple[Path, Path]:
    """Return the interpreter and the package folder of a new environment with the wheel and our dependencies."""
    folder = work / "fresh"
    venv.create(folder, symlinks=True, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}))
    borrowed = Path(sysconfig.get_path("purelib"))
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--target", packages, wheel, cwd=work)  # fmt: skip
    # A line in a .pth file adds a folder without reading the .pth files in it: ours is not followed.
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return folder / "bin" / "python", packages


def main() -> None:
    """Build, look inside, install, import."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        wheel = build(work)
        check_contents(wheel)
        interpreter, packages = fresh_environment(work, wheel)
        away = work / "away"
        away.mkdir()
        print(run(interpreter, "-c", IMPORT_ALL, packages, *FOLDERS, cwd=away), end="")
        command = "from faintlink.core.cli import main; main()"
        print(run(interpreter, "-c", command, "--version", cwd=away), end="")


if __name__ == "__main__":
    main()
