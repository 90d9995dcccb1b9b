"""`data:` finds the right reader, or says what could be given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.data.load import load_data
from raysweep.errors import InputError
from raysweep.zoo import DataEntry, fashion


@pytest.fixture
def zoo_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of two classes put into the zoo's list for the length of a test."""
    file = tmp_path / "pair.npz"
    np.savez(file, x=np.zeros((2, 1, 4, 4), dtype=np.float32), y=[0, 1])
    monkeypatch.setitem(fashion.DATA, "pair", DataEntry(file, ("left", "right"), media="logmel"))
    return file


@pytest.mark.usefixtures("zoo_file")
def test_zoo_data_has_the_zoo_s_class_names_and_medium() -> None:
    dataset = load_data("zoo://fashion/pair")
    assert (dataset.classes, dataset.media) == (("left", "right"), "logmel")


@pytest.mark.usefixtures("zoo_file")
def test_an_unknown_name_in_the_zoo_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load_data("zoo://fashion/pairr", key="data")
    assert str(caught.value) == (
        "data: the zoo has no such data set (found 'zoo://fashion/pairr'). Did you mean 'pair'?"
    )


def test_a_missing_file_is_refused_with_its_nearest_neighbour(tmp_path: Path) -> None:
    np.savez(tmp_path / "digits.npz", x=np.zeros((2, 4)))
    with pytest.raises(InputError) as caught:
        load_data("digit.npz", folder=tmp_path, key="data")
    assert str(caught.value) == (
        "data: must be a file or folder that exists (found 'digit.npz'). Did you mean 'digits.npz'?"
    )


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"data: must be data that can be read \(found 'd.csv'\). Give zoo://"):
        load_data("d.csv", folder=tmp_path)


def test_relative_paths_start_at_the_working_directory_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 4)))
    monkeypatch.chdir(tmp_path)
    assert load_data("d.npz").x.shape == (2, 4)
