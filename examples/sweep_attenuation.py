"""Sweep an attenuator with a QCoDeS Measurement: one short run a point, its rate and error rate in a dataset.

Run as ``python examples/sweep_attenuation.py [FOLDER]``; the database and the runs go into the folder,
``sweep-out`` by default. Each point holds the identifier of its run, so that the raw data are found again.
"""

import sys
from contextlib import closing
from pathlib import Path

from qcodes.dataset import Measurement, connect, load_or_create_experiment

from faintlink.acquisition.scripting import Station

ATTENUATIONS_DB = (0.0, 3.0, 6.0, 9.0)


def main(folder: Path) -> None:
    """Take a run at each attenuation and print the dataset."""
    folder.mkdir(parents=True)
    with Station("demo") as lab, closing(connect(folder / "sweep.db")) as database:
        knob = lab.alice_voa.attenuation
        aligned_db = knob()
        experiment = load_or_create_experiment("attenuation", lab.link.name, conn=database)
        measurement = Measurement(exp=experiment, station=lab.qcodes)
        measurement.register_parameter(knob)
        measurement.register_custom_parameter("rate", label="Tags", unit="Hz", setpoints=(knob,))
        measurement.register_custom_parameter("qber", label="QBER, key basis", setpoints=(knob,))
        measurement.register_custom_parameter("run_id", paramtype="text", setpoints=(knob,))
        with measurement.run() as datasaver:
            for more_db in ATTENUATIONS_DB:
                knob(aligned_db + more_db)
                run = lab.run(duration_s=0.3, out=folder / f"run-{more_db:g}dB")
                report = run.wait()
                datasaver.add_result(
                    (knob, knob()),
                    ("rate", report.tags / report.duration_s),
                    ("qber", run.qber),
                    ("run_id", run.run_id),
                )
        print(datasaver.dataset.to_pandas_dataframe().reset_index().to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sweep-out"))
