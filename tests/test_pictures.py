"""A picture of several sweeps has what they found of the same samples side by side."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raysweep.data.load import load_data
from raysweep.record.overlay import over_images
from raysweep.record.sheets import pictures

Found = tuple[Any, dict[str, np.ndarray]]


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "docs"))
    return importlib.import_module("pictures")


def found(samples: np.ndarray, seed: int) -> Found:
    """What the winner of a sweep has, without a sweep."""
    random = np.random.default_rng(seed)
    scores = {"sparsity": SimpleNamespace(value=0.1), "distortion": SimpleNamespace(value=2.0)}
    tensors = {"sample": samples, "mask": random.random(samples.shape), "explanation": random.random(samples.shape)}
    return SimpleNamespace(result=SimpleNamespace(objectives=scores)), tensors


def test_each_cell_is_what_its_sweep_kept_or_painted_of_its_rows_sample(
    drawing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shoes = load_data("zoo://fashion/test").x[:5]
    names = [f"rde-fashion-{components}-{fill}" for components in drawing.COMPONENTS for fill in drawing.FILLS]
    sweeps = {name: found(shoes, seed) for seed, name in enumerate(names)}
    monkeypatch.setattr(drawing, "winner", lambda _, name: sweeps[name])
    sheet = np.asarray(drawing.fills(Path(), rows=3))
    half = (len(sheet) - 10) // 2
    for block, components in enumerate(drawing.COMPONENTS):
        columns = [shoes]
        for fill in drawing.FILLS:
            _, tensors = sweeps[f"rde-fashion-{components}-{fill}"]
            columns += [over_images(shoes, tensors["mask"]), tensors["explanation"]]
        for place, column in enumerate(columns):
            for row in range(3):
                top, left = block * (half + 10) + drawing.HEAD + row * 88, 4 + place * 88
                cell = sheet[top : top + 84 : 3, left : left + 84 : 3]
                assert np.array_equal(cell, pictures(column, "image")[row])
        assert (sheet[block * (half + 10) :][: drawing.HEAD, :, 0] < 128).any()  # titles


def test_sweeps_of_other_samples_are_not_put_beside_each_other(
    drawing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shoes = load_data("zoo://fashion/test").x[:6]
    monkeypatch.setattr(drawing, "winner", lambda _, name: found(shoes["blur" in name :][:5], 0))
    with pytest.raises(SystemExit, match="rde-fashion-patches-blur explains other samples"):
        drawing.fills(Path())


def test_the_unseen_class_is_shown_along_each_classifiers_training(
    drawing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, trials, tensors = np.random.default_rng(0), {}, {}
    for number, (classifier, step) in enumerate([("hard", 2), ("plain", 1), ("plain", 2), ("hard", 1), ("hard", 3)]):
        metrics = {"recognition": 0.25, "target_fd": 9.0}
        result = SimpleNamespace(metrics=metrics, step=step)
        trials[number] = SimpleNamespace(number=number, config={"classifier": classifier}, result=result)
        tensors[number] = {"explanation": random.random((4, 1, 28, 28))}
    sweep = SimpleNamespace(ledger=SimpleNamespace(trials=trials), tensors=lambda trial: tensors[trial.number])
    monkeypatch.setattr(drawing.SweepResult, "load", lambda *_: sweep)
    sheet = np.asarray(drawing.unseen(Path(), shown=3))
    for row, numbers in enumerate([(3, 1), (0, 2)]):  # after 1 and after 2 steps; nobody else made a third
        for block, number in enumerate(numbers):
            for place in range(3):
                top, left = drawing.HEAD + row * 88, 4 + (2 + 4 * block + place) * 88
                cell = sheet[top : top + 84 : 3, left : left + 84 : 3]
                assert np.array_equal(cell, pictures(tensors[number]["explanation"], "image")[place])
    assert sheet.shape[0] == drawing.HEAD + 2 * 88


def test_what_a_witness_saw_is_shown_at_each_classifiers_last_looks(
    drawing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, trials, tensors = np.random.default_rng(0), {}, {}
    for number, (classifier, step) in enumerate([("erm", 2), ("dro", 3), ("erm", 5), ("dro", 1), ("dro", 9)]):
        seen = {"witness.water": 0.5, "witness.water.low": 0.4, "witness.water.bird": 0.5, "recognition": 1.0}
        result = None if step == 9 else SimpleNamespace(metrics=seen, step=step)  # that one is still running
        trials[number] = SimpleNamespace(number=number, config={"classifier": classifier}, result=result)
        tensors[number] = {"explanation": random.random((3, 3, 32, 32))}
    sweep = SimpleNamespace(ledger=SimpleNamespace(trials=trials), tensors=lambda trial: tensors[trial.number])
    monkeypatch.setattr(drawing.SweepResult, "load", lambda *_: sweep)
    sheet = np.asarray(drawing.witnessed(Path(), {"one": "a bird"}, shown=3, looks=2))
    assert sheet.shape[0] == drawing.HEAD + 4 * 88
    for row, number in enumerate((0, 2, 3, 1)):
        for place in range(3):
            top, left = drawing.HEAD + row * 88, 4 + (2 + place) * 88
            cell = sheet[top : top + 64 : 2, left : left + 64 : 2]
            assert np.array_equal(cell, pictures(tensors[number]["explanation"], "image")[place])
        assert (sheet[top : top + 84, 92:176, 0] < 128).any()  # what it says


def test_made_log_mels_stand_above_real_ones_of_their_class(
    drawing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data("zoo://voices/test")
    made = np.random.default_rng(0).uniform(-4, 4, (3, 12, 1, 32, 32)).astype(np.float32)
    tensors = {"explanation": made[1], "classes": made, "unseen": np.array([False, True, False])}
    monkeypatch.setattr(drawing, "winner", lambda *_: (None, tensors))
    sheet = np.asarray(drawing.voices(Path(), shown=4))
    rows = [part for label in range(3) for part in (made[label, :4], data.x[data.y == label][:4])]
    strips = pictures(np.stack([np.concatenate(list(row), axis=2) for row in rows]), "logmel")
    for index, strip in enumerate(strips):
        top = 4 + index * (64 + 14 + 4)
        assert np.array_equal(sheet[top : top + 64 : 2, 4 : 4 + 256 : 2], strip)
        assert (sheet[top + 64 : top + 78] < 128).any()  # its caption
