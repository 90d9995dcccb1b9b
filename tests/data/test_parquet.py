"""The hubs' image layout, on the real CIFAR-10 files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raysweep.data.load import load_data
from raysweep.errors import InputError

CIFAR10 = Path(__file__).parents[2] / ".." / "shared" / "data" / "cifar10" / "test.parquet"
with_cifar10 = pytest.mark.skipif(not CIFAR10.exists(), reason="CIFAR-10 does not lie beside this checkout")


def encoded(height: int, width: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width), dtype=np.uint8)).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": "a.png"}


def refusal(path: Path, columns: dict[str, list]) -> str:
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError) as caught:
        load_data(path.name, folder=path.parent, key="data")
    assert str(caught.value).startswith("data: ")
    return str(caught.value)


@with_cifar10
def test_cifar10_is_read_with_its_class_names() -> None:
    dataset = load_data(str(CIFAR10))
    assert (dataset.x.shape, dataset.x.dtype, dataset.media) == ((10000, 3, 32, 32), np.float32, "image")
    assert dataset.y is not None
    assert np.bincount(dataset.y).tolist() == [1000] * 10
    assert dataset.classes[:2] == ("airplane", "automobile")
    assert 0.4 < dataset.x.mean() < 0.55


@with_cifar10
def test_pixels_are_those_that_pillow_decodes() -> None:
    row = pq.ParquetFile(CIFAR10).read_row_group(0, columns=["img"])["img"][7].as_py()
    expected = np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB"), dtype=np.float32) / 255
    dataset = load_data(str(CIFAR10))
    np.testing.assert_array_equal(dataset.x[7], expected.transpose(2, 0, 1))


def test_files_without_names_number_their_classes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [encoded(4, 5)] * 3, "labels": [0, 1, 1]}), tmp_path / "d.parquet")
    dataset = load_data("d.parquet", folder=tmp_path)
    assert (dataset.x.shape, dataset.classes) == ((3, 1, 4, 5), ("0", "1"))


def test_a_file_without_an_image_column_is_refused_with_its_columns(tmp_path: Path) -> None:
    message = refusal(tmp_path / "d.parquet", {"picture": [encoded(4, 4)], "label": [0]})
    assert "image column named img or image" in message
    assert "picture, label" in message


def test_images_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "d.parquet", {"img": [encoded(4, 4), {"bytes": None, "path": "b.png"}]})
    assert "column img must hold encoded images" in message
    assert "d.parquet, row 1" in message


def test_a_row_that_is_no_image_is_refused_by_its_number(tmp_path: Path) -> None:
    broken = {"bytes": encoded(9, 9)["bytes"][:40], "path": None}
    message = refusal(tmp_path / "d.parquet", {"img": [encoded(9, 9), encoded(9, 9), broken]})
    assert "must be a whole image (found 'd.parquet, row 2')" in message


def test_images_of_two_sizes_are_refused_with_both(tmp_path: Path) -> None:
    message = refusal(tmp_path / "d.parquet", {"img": [encoded(4, 4), encoded(6, 5)]})
    assert "all images must have one size, and the first is 4 x 4 (found 'd.parquet, row 1: 6 x 5')" in message


def test_rows_without_a_label_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "d.parquet", {"img": [encoded(4, 4)] * 2, "label": [1, None]})
    assert "column label must have no gaps (found '1 nulls')" in message


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"img": [encoded(8, 8)] * 50, "label": [0] * 50}), tmp_path / "d.parquet")
    whole = (tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"data: must be a whole parquet file \(found '.*d.parquet'\)"):
        load_data("d.parquet", folder=tmp_path)
