"""The recorded two-sided run of S-Fifteen time-stamp cards, from the raw files to the refusal of its key.

Where the data come from and what is known of them stands in the README beside them: LEC = HEC + 1234 ns, detector
errors of 6 %, and detector 8 of the HEC side never fires.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.config.loader import load_link
from faintlink.core.formats import qcrypto
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.qkd.pairs import PairRun
from faintlink.postprocess.qkd.sift import SiftedBits, join
from tests.cli import faintlink
from tests.data import ROOT, shared_data

LINK = ROOT / "lab_configs" / "qcrypto.link.yaml"
EPOCH_PS = (1 << 32) * 125
"""A qcrypto epoch: 2**32 units of 125 ps."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from faintlink.core import cli

    folder = tmp_path_factory.mktemp("qcrypto") / "run"
    for side, party in (("hec", "alice"), ("lec", "bob")):
        raw = shared_data(f"qcrypto/{side}/events.raw")
        arguments = ["import", str(raw), "--out", str(folder), "--party", party, "--link", str(LINK)]
        assert cli.run(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def sifted(run: Path) -> SiftedBits:
    return join([piece.bits for piece in PairRun(open_run([run]), load_link(LINK)).pieces()])


def test_the_offset_is_found_to_a_nanosecond(run: Path) -> None:
    pairs = PairRun(open_run([run]), load_link(LINK))
    list(pairs.pieces())
    offset = pairs.clock_facts()["offset_ps"]
    assert isinstance(offset, int)
    assert abs(offset - 1_234_000) < 1_000


def of_qcrypto(epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (Alice's times in ps, her bits, Bob's bits) of the pairs that qcrypto itself sifted."""
    name = f"{epoch:08x}"
    events = qcrypto.read_t2(shared_data(f"qcrypto/lec/t2/{name}").read_bytes())
    chosen = qcrypto.read_t4(shared_data(f"qcrypto/hec/t4/{name}").read_bytes())
    sides = [qcrypto.read_t3(shared_data(f"qcrypto/{side}/rawkey/{name}").read_bytes()) for side in ("hec", "lec")]
    times = events.times_ps[chosen.indices] - 1_234_000
    # Their singlet convention counts the bits of both sides the other way round.
    return times, 1 - sides[0].values, 1 - sides[1].values


@pytest.mark.parametrize("epoch", [0x976B, 0x976C])
def test_sifted_bits_are_those_of_qcrypto_where_they_overlap(sifted: SiftedBits, epoch: int) -> None:
    times, alice, bob = of_qcrypto(epoch)
    ours = sifted.between(epoch * EPOCH_PS, (epoch + 1) * EPOCH_PS)
    shared, at_ours, at_theirs = np.intersect1d(ours.positions, times, return_indices=True)
    # Clicks within 2 ns of each other are one detection here and two there: one in some thousand.
    assert len(shared) >= 0.998 * max(len(times), len(ours))
    agrees = (ours.alice[at_ours] == alice[at_theirs]) & (ours.bob[at_ours] == bob[at_theirs])
    assert np.count_nonzero(~agrees) <= 3


def test_six_percent_errors_are_reported(run: Path, sifted: SiftedBits) -> None:
    wrong = float((sifted.alice != sifted.bob).mean())
    # 75,000 bits: one standard error is 0.09 %.
    assert wrong == pytest.approx(0.06, abs=0.004)


def test_the_dead_detector_is_flagged_and_makes_no_key(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = faintlink(capsys, "process", run, "--json")
    document = json.loads(outcome.out)
    assert outcome.code == 4
    [block] = document["blocks"]
    assert block["refusal"]["kind"] == "MonitorVetoError"
    assert "bit bias of alice in X" in block["refusal"]["reason"]
    assert not (Path(document["folder"]) / "keys").exists()
