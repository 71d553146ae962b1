"""PicoQuant's own library as a judge of our PTU writer; optional, as snAPI is no dependency of this project.

The library runs in a process of its own, since it prints, starts threads and wants a numpy of its own. Without snAPI
beside the tests, name the interpreter of an environment that has it in ``FAINTLINK_SNAPI_PYTHON``; otherwise the tests
are skipped. They were run with snAPI 1.2.5 (PyPI wheel, Linux x86-64, Python 3.11) and no device: the library opens
files without one. T2 times and channels were compared, for record types of instruments that it drives. It does not
decode PicoHarp 300 records, and it does not count the overflows of HydraHarp version 1 records, whose layout
PicoQuant has described otherwise; these two stay with the other reader. T3 was not tried.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.formats.ptu_records import RecordType
from faintlink.core.formats.ptu_writer import write_ptu_t2
from faintlink.core.formats.recording import open_recording
from faintlink.core.tags import TagBlock, concatenate
from tests.data import shared_data

T2_TYPES = (
    RecordType.HYDRAHARP_V2_T2,
    RecordType.TIMEHARP_260N_T2,
    RecordType.TIMEHARP_260P_T2,
    RecordType.GENERIC_T2,
)
HBT = "time_tags/hydraharp400_t2_hbt_320MHz.ptu"
OVERFLOW_CHANNEL = 255
SCRIPT = """
import sys
import numpy as np
from snAPI.Main import snAPI
library = snAPI()
assert library.getFileDevice(sys.argv[1]), "the library does not open the file"
library.unfold.measure(acqTime=0, size=1 << 20, waitFinished=True)
times, channels = library.unfold.getData()
np.savez(sys.argv[2], times=np.array(times), channels=np.array(channels))
"""


def interpreter() -> str:
    if named := os.environ.get("FAINTLINK_SNAPI_PYTHON"):
        return named
    if importlib.util.find_spec("snAPI") is None:
        pytest.skip("needs PicoQuant's snAPI; see the head of this file")
    return sys.executable


def judged(folder: Path, name: str) -> TagBlock:
    """Return the tags that the library finds in a recording."""
    command = [interpreter(), "-c", SCRIPT, name, "seen.npz"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = np.load(folder / "seen.npz")
    is_tag = seen["channels"] != OVERFLOW_CHANNEL
    return TagBlock(seen["times"][is_tag].astype(np.int64), seen["channels"][is_tag].astype(np.uint8))


@pytest.mark.parametrize("kind", T2_TYPES, ids=lambda kind: kind.name)
def test_picoquants_own_library_reads_the_times_and_channels_that_we_wrote(kind: RecordType, tmp_path: Path) -> None:
    interpreter()
    rng = np.random.default_rng(int(kind))
    # Some steps pass several overflows at once.
    ticks = np.cumsum(rng.integers(1, 2**25, 20_000) * rng.choice([1, 25], 20_000, p=[0.95, 0.05]))
    written = TagBlock(ticks * 4, rng.integers(0, 5, 20_000).astype(np.uint8))
    write_ptu_t2(tmp_path / "written.ptu", [written], record_type=kind, resolution_ps=4)
    seen = judged(tmp_path, "written.ptu")
    np.testing.assert_array_equal(seen.times_ps, written.times_ps)
    np.testing.assert_array_equal(seen.channels, written.channels)


def test_a_real_recording_is_read_as_picoquants_own_library_reads_it(tmp_path: Path) -> None:
    interpreter()
    shutil.copy(shared_data(HBT), tmp_path / "real.ptu")
    ours = concatenate(open_recording(tmp_path / "real.ptu").blocks(131_072))
    seen = judged(tmp_path, "real.ptu")
    np.testing.assert_array_equal(seen.times_ps, ours.times_ps)
    np.testing.assert_array_equal(seen.channels, ours.channels)
