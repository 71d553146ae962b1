"""Photon-HDF5 0.5: the stream as photon data, for the single-photon community's programs.

Timestamps are int64 in units of 1 ps, detectors the channels. Gaps and the facts of the source stand in ``/user``,
which the format leaves to programs. A quantum link has no excitation in the format's sense; the setup says one
source, not alternated, and as many split channels as there are detectors.

Sources: Photon-HDF5 specification 0.5 (photon-hdf5.readthedocs.io): field names, mandatory groups, the official
descriptions that each field carries as TITLE.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from faintlink.core import __version__
from faintlink.core.exports.source import ExportSource
from faintlink.core.exports.targets import gap_rows
from faintlink.core.runfile.reader import RowBlock
from faintlink.core.runfile.schema import GAP_DTYPE
from faintlink.core.runfile.tables import GrowingTable
from faintlink.core.units import PS_PER_S

FORMAT_NAME, FORMAT_VERSION = "Photon-HDF5", "0.5"
FORMAT_URL = "http://photon-hdf5.org/"
_TITLES = {
    "/": "A file format for photon-counting detector based single-molecule spectroscopy experiments.",
    "/photon_data": "Group containing arrays of photon-data.",
    "/photon_data/timestamps": "Array of photon timestamps. Units specified in timestamps_units "
    "(defined in timestamps_specs/).",
    "/photon_data/detectors": "Array of pixel IDs for each timestamp.",
    "/photon_data/timestamps_specs": "Specifications for timestamps.",
    "/photon_data/timestamps_specs/timestamps_unit": "Value of 1-unit timestamp-increment in seconds.",
    "/acquisition_duration": "Measurement duration in seconds.",
    "/description": "A user-defined comment describing the data file.",
    "/format_name": "Name of the file format.",
    "/format_version": "Version for the Photon-HDF5 format.",
    "/identity": "Information about the Photon-HDF5 data file.",
    "/identity/filename": "Original file name of the current Photon-HDF5 file (i.e. file name at creation time).",
    "/identity/creation_time": "Creation time of the current Photon-HDF5 file.",
    "/identity/software": "Name of the software used to create the current Photon-HDF5 file.",
    "/identity/software_version": "Version of the software used to create current the Photon-HDF5 file.",
    "/identity/format_name": "Name of the file format.",
    "/identity/format_version": "Version for the Photon-HDF5 format.",
    "/identity/format_url": "Official URL for the Photon-HDF5 format.",
    "/provenance": "Information about the original data file.",
    "/provenance/filename": "File name of the original data file before conversion to Photon-HDF5.",
    "/provenance/creation_time": "Creation time of the original data file.",
    "/provenance/software": "Software used to save the original data file.",
    "/provenance/software_version": "Version of the software used to save the original data file.",
    "/setup": "Information about the experimental setup.",
    "/setup/num_pixels": "Total number of detector pixels.",
    "/setup/num_spots": 'Number of excitation (or detection) "spots" in the sample.',
    "/setup/num_spectral_ch": "Number of distinct spectral bands which are acquired.",
    "/setup/num_polarization_ch": "Number of distinct polarization states which are acquired.",
    "/setup/num_split_ch": "Number of distinct detection channels detecting the same spectral band and polarization. "
    "This value is > 1 when using a non-polarizing beam splitter.",
    "/setup/modulated_excitation": "True (i.e. 1) if there is any form of excitation modulation of excitation "
    "wavelength (as in us-ALEX or PAX) or polarization. This field is also True for pulse-interleaved excitation "
    "(PIE) or ns-ALEX measurements.",
    "/setup/excitation_alternated": "New in version 0.5. Indicates whether each excitation source is alternated "
    "(True, or 1) or not alternated (False, or 0).",
    "/setup/lifetime": "True (i.e. 1) if the measurement includes a nanotimes array of photon arrival times with "
    "respect to a laser pulse (as in TCSPC measurements).",
    "/setup/detectors": "Metadata relative to each detector's pixel. Each field is an array with size equal to the "
    "number of the detectors.",
    "/setup/detectors/id": "Detector IDs as they appear on /photon_data/detectors.",
    "/setup/detectors/counts": "Total number of counts detected by each detector.",
    "/user": "A custom group for user-defined fields.",
}


def write_photon_hdf5(path: Path, source: ExportSource, blocks: Iterable[RowBlock]) -> None:
    """Write blocks of tags as Photon-HDF5."""
    with h5py.File(path, "x", libver="v110") as file:
        file.attrs["format_name"] = FORMAT_NAME
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["TITLE"] = _bytes(_TITLES["/"])
        counts, span_ps = _write_photons(file, blocks)
        _write_fields(file, _fields(path.name, source, counts, span_ps))
        user = file.create_group("user/faintlink/source")
        for name, text in source.facts().items():
            user[name] = _bytes(text)
        _title(file)


def _write_photons(file: h5py.File, blocks: Iterable[RowBlock]) -> tuple[dict[int, int], int]:
    timestamps = GrowingTable(file, "photon_data/timestamps", np.int64)
    detectors = GrowingTable(file, "photon_data/detectors", np.uint8)
    gaps = GrowingTable(file, "user/faintlink/gaps", GAP_DTYPE)
    counts = np.zeros(256, np.int64)
    first = last = None
    for block in blocks:
        times, channels = block.columns
        timestamps.append(times)
        detectors.append(channels)
        gaps.append(gap_rows(block.gaps))
        counts += np.bincount(channels, minlength=256)
        if times.size:
            first, last = (int(times[0]) if first is None else first), int(times[-1])
    found = {int(channel): int(counts[channel]) for channel in np.flatnonzero(counts)}
    return found, 0 if first is None or last is None else last - first


def _fields(name: str, source: ExportSource, counts: Mapping[int, int], span_ps: int) -> dict[str, Any]:
    facts = source.facts()
    return {
        "/acquisition_duration": span_ps / PS_PER_S,
        "/description": f"time tags of {facts['party']}, stream {facts['stream']} of run {facts['run_id']} "
        f"({facts['origin']})",
        "/format_name": FORMAT_NAME,
        "/format_version": FORMAT_VERSION,
        "/photon_data/timestamps_specs/timestamps_unit": 1e-12,
        "/identity/filename": name,
        "/identity/creation_time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "/identity/software": "faintlink",
        "/identity/software_version": __version__,
        "/identity/format_name": FORMAT_NAME,
        "/identity/format_version": FORMAT_VERSION,
        "/identity/format_url": FORMAT_URL,
        "/provenance/filename": source.recording.paths[0].name,
        "/provenance/creation_time": _moment(facts["created_utc"]),
        "/provenance/software": "faintlink",
        "/provenance/software_version": facts["software_version"],
        "/setup/num_pixels": len(counts),
        "/setup/num_spots": 1,
        "/setup/num_spectral_ch": 1,
        "/setup/num_polarization_ch": 1,
        "/setup/num_split_ch": len(counts),
        "/setup/modulated_excitation": np.uint8(0),
        "/setup/excitation_alternated": np.array([0], np.uint8),
        "/setup/lifetime": np.uint8(0),
        "/setup/detectors/id": np.array(list(counts), np.uint8),
        "/setup/detectors/counts": np.array(list(counts.values()), np.int64),
    }


def _write_fields(file: h5py.File, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        file[name] = _bytes(value) if isinstance(value, str) else value


def _title(file: h5py.File) -> None:
    def describe(name: str, item: h5py.Group | h5py.Dataset) -> None:
        item.attrs["TITLE"] = _bytes(_TITLES.get(f"/{name}", name.rpartition("/")[2]))

    file.visititems(describe)


def _bytes(text: str) -> np.bytes_:
    # A string of length 0 has no HDF5 type.
    return np.bytes_(text.encode() or b" ")


def _moment(created_utc: str) -> str:
    try:
        return datetime.fromisoformat(created_utc).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return created_utc
