"""Parquet: typed columns for pandas, polars, DuckDB and Spark, through pyarrow.

One row group a block. The facts of the source stand in the schema's metadata under ``faintlink``, the unit of each
column in the metadata of its field. Gaps stand in a second file. pyarrow is the extra ``parquet``.

Sources: Apache Parquet format 2.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from faintlink.core.exports.extras import required
from faintlink.core.exports.source import ExportSource
from faintlink.core.runfile.reader import RowBlock
from faintlink.core.runfile.schema import COLUMNS

UNITS = {"time_ps": "ps", "channel": "1", "slot": "1", "setting": "1"}
"""Unit of each column, as the exports write it."""


def write_parquet(path: Path, source: ExportSource, blocks: Iterable[RowBlock]) -> None:
    """Write blocks as row groups.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    """
    arrow = required("pyarrow", extra="parquet")
    parquet = required("pyarrow.parquet", extra="parquet")
    fields = [
        arrow.field(name, arrow.from_numpy_dtype(dtype), nullable=False, metadata={"units": UNITS[name]})
        for name, dtype in COLUMNS[source.spec.kind]
    ]
    schema = arrow.schema(fields, metadata={"faintlink": json.dumps(source.facts())})
    encodings = {source.column_names[0]: "DELTA_BINARY_PACKED"}
    with parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=[source.column_names[1]], column_encoding=encodings
    ) as writer:
        for block in blocks:
            if block.columns[0].size:
                arrays = [arrow.array(column) for column in block.columns]
                writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
