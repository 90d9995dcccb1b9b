"""Folders of class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep.data.load import load_data
from raysweep.errors import InputError


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def grey(value: int, height: int = 4, width: int = 5) -> np.ndarray:
    return np.full((height, width), value, dtype=np.uint8)


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_data(folder.name, folder=folder.parent, key="data")
    assert caught.value.key == "data"
    return str(caught.value)


def test_folders_are_classes_and_files_are_samples_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "d/dog/2.png", grey(51))
    write(tmp_path / "d/cat/b.bmp", grey(255))
    write(tmp_path / "d/cat/a.npy", np.full((4, 5), 0.5, dtype=np.float32))
    (tmp_path / "d/cat/notes.txt").write_text("not a sample")
    dataset = load_data("d", folder=tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.y is not None
    assert dataset.y.tolist() == [0, 0, 1]
    np.testing.assert_allclose(dataset.x[:, 0, 0, 0], [0.5, 1, 0.2])


def test_grey_images_among_coloured_ones_get_three_channels(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.png", grey(51))
    write(tmp_path / "d/cat/b.jpg", np.zeros((4, 5, 3), dtype=np.uint8))
    dataset = load_data("d", folder=tmp_path)
    assert dataset.x.shape == (2, 3, 4, 5)
    np.testing.assert_allclose(dataset.x[0, :, 1, 1], 0.2)


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d/a.png", grey(0))
    assert "must hold a folder for each class" in refusal(tmp_path / "d")


def test_an_empty_class_is_refused_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.png", grey(0))
    (tmp_path / "d/dog").mkdir()
    assert "a class folder must not be empty (found '" + str(tmp_path / "d/dog") in refusal(tmp_path / "d")


def test_images_of_two_sizes_are_refused_with_both_and_the_file(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.png", grey(0))
    write(tmp_path / "d/cat/b.png", grey(0, 6, 7))
    message = refusal(tmp_path / "d")
    assert "all images must have one size, and the first is 4 x 5 (found 'cat/b.png: 6 x 7')" in message


def test_a_truncated_image_is_refused_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.png", np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8))
    whole = (tmp_path / "d/cat/a.png").read_bytes()
    (tmp_path / "d/cat/a.png").write_bytes(whole[:500])
    assert "must be a whole image (found '" + str(tmp_path / "d/cat/a.png") in refusal(tmp_path / "d")


def test_a_sixteen_bit_image_is_refused_rather_than_clipped(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.png", np.full((4, 4), 40000, dtype=np.uint16))
    assert "images must have 8 bits a channel" in refusal(tmp_path / "d")


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.npy", np.array([{"a": 1}], dtype=object))
    assert "must be a whole, plain array (found '" + str(tmp_path / "d/cat/a.npy") in refusal(tmp_path / "d")


def test_an_array_that_is_no_image_is_refused_with_its_shape(tmp_path: Path) -> None:
    write(tmp_path / "d/cat/a.npy", np.zeros(4))
    assert "must be an array [H, W] or [C, H, W]" in refusal(tmp_path / "d")
    assert "a.npy: [4]" in refusal(tmp_path / "d")
