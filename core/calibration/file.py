"""The file of one calibration: HDF5 of the run-file family, written once and never changed.

Numbers stand in it as they were in memory, so that a replay decides from the same bits. A file is written under a
hidden name, with mode 0600, and published complete.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from faintlink.core.calibration.records import CalibrationRecord, Criterion, Decision, Fit, Scan, Verdict
from faintlink.core.durable import fsync
from faintlink.core.errors import SchemaError
from faintlink.core.runfile.opening import damage_as_schema_error, open_hdf5
from faintlink.core.runfile.writer import publish

FORMAT_NAME = "faintlink-calibration"
FORMAT_VERSION = "1.0"
"""Readers accept the same major version; a minor version only adds."""
SUFFIX = ".calibration.h5"
_TEXTS = ("record_id", "routine", "link", "started_utc", "software_version", "reason")
_DOCUMENTS = ("options", "before", "after", "snapshot", "instruments")


def write_record(folder: Path, record: CalibrationRecord) -> Path:
    """Write a record into a folder and return its new file; nothing is ever overwritten.

    Raises
    ------
    RunExistsError
        The folder has a file of this record already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = record.started_utc.replace("-", "").replace(":", "").partition(".")[0].partition("+")[0]
    path = folder / f"{stamp}Z-{record.routine}-{record.record_id[:8]}{SUFFIX}"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with h5py.File(unfinished, "w", libver="latest") as file:
            _write(file, record)
        publish(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    fsync(path)
    return path


def read_record(path: Path) -> CalibrationRecord:
    """Return the record of a file.

    Raises
    ------
    SchemaError
        The file is no calibration, of another major version, or damaged.
    """
    file = open_hdf5(path, None)
    with file, damage_as_schema_error(path):
        _require_format(path, file)
        return _read(file)


def _write(file: h5py.File, record: CalibrationRecord) -> None:
    file.attrs["format_name"], file.attrs["format_version"] = FORMAT_NAME, FORMAT_VERSION
    for name in _TEXTS:
        file.attrs[name] = getattr(record, name)
    file.attrs["verdict"] = str(record.verdict)
    file.attrs["routine_version"], file.attrs["duration_s"] = record.routine_version, record.duration_s
    for name in _DOCUMENTS:
        _write_document(file, f"context/{name}", getattr(record, name))
    file.create_group("scans", track_order=True)
    for name, scan in record.scans.items():
        group = file.create_group(f"scans/{name}", track_order=True)
        for column, values in scan.columns.items():
            # HDF5 takes a checksum of chunked data only, and a chunk cannot be empty.
            chunks = values.shape if values.size else None
            group.create_dataset(column, data=values, chunks=chunks, fletcher32=chunks is not None)
    _write_decision(file, record.decision)


def _write_decision(file: h5py.File, decision: Decision) -> None:
    for number, fit in enumerate(decision.fits):
        group = file.create_group(f"fits/{number:03d}")
        group.attrs["name"], group.attrs["model"] = fit.name, fit.model
        group.attrs["parameters"] = json.dumps(fit.parameters)
        group.attrs["chi2"], group.attrs["dof"] = fit.chi2, fit.dof
        group["values"], group["covariance"] = np.array(fit.values, float), np.array(fit.covariance, float)
    for number, criterion in enumerate(decision.criteria):
        group = file.create_group(f"criteria/{number:03d}")
        for name in ("name", "value", "sigma", "limit", "relation", "sigmas"):
            group.attrs[name] = getattr(criterion, name)
        group.attrs["is_met"] = criterion.is_met
    for name in ("proposal", "results"):
        _write_document(file, f"context/{name}", getattr(decision, name))
    file.attrs["advice"] = decision.advice


def _write_document(file: h5py.File, name: str, document: Mapping[str, Any]) -> None:
    # JSON keeps every finite double exactly: Python writes the shortest text that reads back the same.
    data = np.frombuffer(json.dumps(document, default=str).encode(), np.uint8)
    file.create_dataset(name, data=data, chunks=data.shape, fletcher32=True)


def _require_format(path: Path, file: h5py.File) -> None:
    name, version = str(file.attrs.get("format_name", "")), str(file.attrs.get("format_version", ""))
    if name != FORMAT_NAME:
        raise SchemaError(
            f"{path} is of format {name or 'unknown'!r}, expected {FORMAT_NAME!r}",
            hint="name a file *.calibration.h5 that `faintlink calibrate` wrote",
        )
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise SchemaError(f"{path} has format version {version}, this program reads {FORMAT_VERSION}")


def _read(file: h5py.File) -> CalibrationRecord:
    scans = {
        name: Scan(name, {column: dataset[:] for column, dataset in group.items()})
        for name, group in file["scans"].items()
    }
    texts: dict[str, Any] = {name: str(file.attrs[name]) for name in _TEXTS}
    documents: dict[str, Any] = {name: _document(file, name) for name in _DOCUMENTS}
    return CalibrationRecord(
        **texts,
        **documents,
        routine_version=int(file.attrs["routine_version"]),
        duration_s=float(file.attrs["duration_s"]),
        verdict=Verdict(str(file.attrs["verdict"])),
        scans=scans,
        decision=_read_decision(file),
    )


def _read_decision(file: h5py.File) -> Decision:
    return Decision(
        fits=tuple(_read_fit(group) for group in file.get("fits", {}).values()),
        criteria=tuple(_read_criterion(group) for group in file.get("criteria", {}).values()),
        proposal=_document(file, "proposal"),
        results=_document(file, "results"),
        advice=str(file.attrs["advice"]),
    )


def _read_fit(group: h5py.Group) -> Fit:
    covariance = tuple(tuple(float(entry) for entry in row) for row in group["covariance"][:])
    return Fit(
        str(group.attrs["name"]),
        str(group.attrs["model"]),
        tuple(json.loads(group.attrs["parameters"])),
        tuple(float(value) for value in group["values"][:]),
        covariance,
        float(group.attrs["chi2"]),
        int(group.attrs["dof"]),
    )


def _read_criterion(group: h5py.Group) -> Criterion:
    numbers = {name: float(group.attrs[name]) for name in ("value", "sigma", "limit", "sigmas")}
    relation = str(group.attrs["relation"])
    if relation not in ("at most", "at least"):
        raise SchemaError(f"{group.file.filename}: criterion with an unknown relation {relation!r}")
    return Criterion(str(group.attrs["name"]), relation=cast(Any, relation), **numbers)


def _document(file: h5py.File, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file[f"context/{name}"][:].tobytes())
    return document
