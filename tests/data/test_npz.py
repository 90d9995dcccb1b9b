"""Archives of plain arrays are read; pickled, truncated or incomplete ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.data.load import load_data
from raysweep.errors import InputError


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_data(path.name, folder=path.parent, key="data")
    assert caught.value.key == "data"
    assert path.name in str(caught.value)
    return str(caught.value)


def test_x_y_and_class_names_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.full((2, 4, 4), 51, dtype=np.uint8), y=[1, 0], classes=["cat", "dog"])
    dataset = load_data("d.npz", folder=tmp_path)
    assert dataset.x.shape == (2, 1, 4, 4)
    assert dataset.x.max() == np.float32(0.2)
    assert dataset.y is not None
    assert dataset.y.tolist() == [1, 0]
    assert (dataset.classes, dataset.media) == (("cat", "dog"), "image")


def test_an_archive_without_labels_is_data_without_classes(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((2, 7)))
    dataset = load_data("d.npz", folder=tmp_path)
    assert (dataset.y, dataset.classes) == (None, ())


def test_an_archive_without_x_is_refused_with_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", images=np.zeros((2, 4)), y=[0, 1])
    assert "must have an array named x" in refusal(tmp_path / "d.npz")
    assert "It has images, y" in refusal(tmp_path / "d.npz")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((200, 40)))
    whole = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(whole[: len(whole) // 2])
    assert "must be a whole .npz file" in refusal(tmp_path / "d.npz")


def test_an_archive_with_damaged_bytes_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((200, 40)))
    damaged = bytearray((tmp_path / "d.npz").read_bytes())
    damaged[3000] ^= 0xFF
    (tmp_path / "d.npz").write_bytes(damaged)
    assert "x must be readable" in refusal(tmp_path / "d.npz")


@pytest.mark.parametrize("name", ["x", "classes"])
def test_pickled_arrays_are_refused_with_how_to_convert_them(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "d.npz", **{"x": np.zeros((2, 4)), name: np.array([{"a": 1}, None], dtype=object)})
    message = refusal(tmp_path / "d.npz")
    assert f"{name} must be a plain array, not Python objects" in message
    assert "np.savez(path, x=" in message
