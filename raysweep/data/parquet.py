"""Parquet in the layout that data hubs use for images: a struct {bytes, path} and an integer label in each row."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.data.images import decode, stack
from raysweep.errors import InputError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels")


def read_parquet(path: Path, *, key: str) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """x uint8 [N, C, H, W]; y [N], or None without a label column; class names, or None when the file has none.

    Raises:
        InputError: truncated or no parquet, no image column, images not embedded, not decodable or of two sizes.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        hint = str(error).splitlines()[0]
        raise InputError("must be a whole parquet file", key=key, value=str(path), suggestion=hint) from error
    image, label = (_first(table.column_names, names) for names in (IMAGE_COLUMNS, LABEL_COLUMNS))
    if image is None or table.num_rows == 0:
        hint = f"It has {table.num_rows} rows with the columns {', '.join(table.column_names)}"
        rule = "must have rows with an image column named img or image"
        raise InputError(rule, key=key, value=str(path), suggestion=hint)
    x = stack(_images(table.column(image), image, path, key), key=key)
    if label is None:
        return x, None, None
    if table.column(label).null_count:
        raise InputError(f"column {label} must have no gaps", key=key, value=f"{table.column(label).null_count} nulls")
    return x, table.column(label).to_numpy(), _class_names(table.schema, label)


def _first(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in columns), None)


def _images(column: pa.ChunkedArray, image: str, path: Path, key: str) -> Iterator[tuple[str, np.ndarray]]:
    for row, cell in enumerate(column):
        value = cell.as_py()
        encoded = value.get("bytes") if isinstance(value, dict) else value
        name = f"{path.name}, row {row}"
        if not isinstance(encoded, bytes):
            rule = f"column {image} must hold encoded images, as struct {{bytes, path}}"
            raise InputError(rule, key=key, value=f"{name}: {column.type}")
        yield name, decode(io.BytesIO(encoded), name=name, key=key)


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """The names in the hubs' own schema metadata; anything unexpected there means no names."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError):
        return None
