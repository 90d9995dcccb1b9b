"""The user's own loader beside the sweep file."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.data.load import load_data
from raysweep.errors import InputError


def write(folder: Path, body: str) -> None:
    (folder / "my_data.py").write_text(f"import numpy as np\n\ndef load():\n    {body}\n")


@pytest.mark.parametrize(
    ("body", "classes"),
    [
        ("return np.zeros((2, 4, 4)), [0, 1]", ("0", "1")),
        ("return np.zeros((2, 4, 4)), [0, 1], ['no', 'yes']", ("no", "yes")),
    ],
)
def test_pairs_and_triples_become_data(tmp_path: Path, body: str, classes: tuple[str, ...]) -> None:
    write(tmp_path, body)
    dataset = load_data("my_data:load", folder=tmp_path)
    assert (dataset.x.shape, dataset.classes) == ((2, 1, 4, 4), classes)


def test_a_dataset_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "from raysweep.data import Dataset; return Dataset(np.zeros((2, 4)), None, (), 'array', 'mine')")
    assert load_data("my_data:load", folder=tmp_path).fingerprint == "mine"


def test_torch_tensors_are_arrays_too(tmp_path: Path) -> None:
    write(tmp_path, "import torch; return torch.zeros(2, 4), torch.tensor([0, 1])")
    assert load_data("my_data:load", folder=tmp_path).x.shape == (2, 4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return np.zeros(3)", "(x, y, classes) or a Dataset (found 'my_data:load: ndarray')"),
        ("return 1, 2, 3, 4", "(x, y, classes) or a Dataset (found 'my_data:load: tuple of 4')"),
        ("raise OSError('disk on fire')", "must run without an error (found 'my_data:load'). OSError: disk on fire"),
    ],
)
def test_a_loader_that_does_not_deliver_is_refused(tmp_path: Path, body: str, message: str) -> None:
    write(tmp_path, body)
    with pytest.raises(InputError) as caught:
        load_data("my_data:load", folder=tmp_path, key="data")
    assert message in str(caught.value)
    assert caught.value.key == "data"
