"""What a notebook shows of the objects that its user meets: one line with what matters."""

from pathlib import Path

from faintlink.acquisition.report import RunReport, RunStatus
from faintlink.acquisition.run import Run
from faintlink.core.errors import QberTooHighError
from faintlink.core.records import DecoyCounts, ErrorCount, SecretKey
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.qkd.estimate import error_rate
from faintlink.postprocess.qkd.live import LiveSummary
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.series import RunSeries
from tests.acquisition_fakes import FakeAnalysis, FakeStation, fake_link
from tests.runs import tag_blocks, write_file

LIVE = LiveSummary(qber_key=ErrorCount(1000, 12), state="locked")
CANARY = bytes(range(200, 232))


def report(*, interrupted: bool = False) -> RunReport:
    return RunReport("r1", Path("runs/x"), 5000, 3, 1, 10, 1.25, 1.3, ("bob-0000.h5",), 100, interrupted, (), LIVE)


def block(*, refused: bool = False) -> BlockResult:
    rate = error_rate(ErrorCount(1000, 12))
    keys = {} if refused else {Party.BOB: SecretKey("k1", 256, CANARY, 1e-9)}
    refusal = QberTooHighError("too high") if refused else None
    return BlockResult(3, 0, DecoyCounts.zero(1), rate, rate, (), (), None, EpsilonLedger(), refusal, keys, False)


def test_a_report_says_run_tags_losses_errors_and_place() -> None:
    assert repr(report()) == "<RunReport r1: 5000 tags in 1.250 s, 3 lost, QBER 1.20 %, in runs/x>"
    assert "QBER 1.20 %, interrupted, in runs/x" in repr(report(interrupted=True))


def test_a_status_reads_like_the_line_of_the_command() -> None:
    status = RunStatus(2.0, 10.0, 2.1, 3_000_000, 0, 0, LIVE)
    assert str(status) == "2.0/10 s  3.00 Mtags  QBER key 1.20 % test -  lost 0  locked"
    assert repr(status) == f"<RunStatus {status}>"


def test_a_run_says_its_phase(tmp_path: Path) -> None:
    run = Run(fake_link(), FakeStation(), tmp_path / "run", analysis=FakeAnalysis(), context={})
    assert repr(run) == f"<run {run.run_id} of fake in {tmp_path / 'run'}, new>"


def test_a_recorded_run_names_its_parties_streams_and_files(tmp_path: Path) -> None:
    write_file(tmp_path / "bob-0000.h5", tag_blocks([10]))
    run = open_run([tmp_path])
    assert repr(run) == "<Run r1 of unknown: [<PartyRecording bob: events, tags in bob-0000.h5>]>"


def test_an_analysis_shows_its_blocks_and_no_key() -> None:
    link = fake_link()
    analysis = Analysis("r1", link, "", "", RunSeries(1.0), blocks=[block(), block(refused=True)])
    shown = repr(analysis)
    assert shown == (
        "<Analysis of run r1: 256 bits of key from "
        "[<block 3: 256 bits, QBER test 1.20%>, <block 3: QberTooHighError, QBER test 1.20%>]>"
    )
    assert CANARY.hex() not in shown
    assert repr(CANARY)[2:-1] not in shown
