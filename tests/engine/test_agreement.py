"""Before a sweep starts, it is said what the data are and whether the classifier names them as they are labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.engine.agreement import describe_data, named_as_labelled
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError
from raysweep.models.model import ModelSource

NETS = """
import torch
from torch import nn

class Corner(nn.Module):
    "The class is the brightest of the first pixels; `order` is that of the outputs."
    def __init__(self, order=(0, 1, 2, 3)):
        super().__init__()
        self.order = list(order)
        self.scale = nn.Parameter(torch.ones(()))
    def forward(self, x):
        return self.scale * x[:, 0, 0, self.order]

class Brighter(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 1)
    def forward(self, x):
        return self.fc(x.flatten(1)) * 0 + x[:, 0, 0, 1:2] - x[:, 0, 0, :1]

class Fussy(Corner):
    def forward(self, x):
        if x[0, 0, 0, 3] > 0:
            raise ArithmeticError("too bright")
        return super().forward(x)
"""


def workload(folder: Path, classifier: ModelSource, classes: int = 4, labelled: bool = True) -> Workload:
    """200 images [1, 4, 4], of class c where pixel c of the first row is the brightest; every eighth has another's."""
    (folder / "nets_agree.py").write_text(NETS)
    x = np.zeros((200, 1, 4, 4), np.float32)
    y = np.arange(200) * classes // 200
    x[np.arange(200), 0, 0, np.where(np.arange(200) % 8 == 5, (y + 1) % classes, y)] = 0.5
    np.savez(folder / "images.npz", x=x, **({"y": y, "classes": list("abcd")[:classes]} if labelled else {}))
    keys: dict[str, Any] = {"method": "am_input", "options": {}, "generator": None, "judge": None, "media": None}
    keys |= {"target": 1, "layer": None, "unit": None, "direction": "maximise", "examples": 4, "precision": "float32"}
    keys |= {"objectives": (ObjectiveSpec("response_fd"),), "seed": 0, "folder": str(folder)}
    return Workload(WorkloadSpec(**keys, classifier=classifier, data="images.npz"))


def corner(*order: int) -> ModelSource:
    return ModelSource("nets_agree:Corner", args={"order": list(order)})


@pytest.mark.parametrize("classes", [4, 2])
def test_the_share_is_that_of_samples_spread_over_all_classes(tmp_path: Path, classes: int) -> None:
    source = corner(0, 1, 2, 3) if classes == 4 else ModelSource("nets_agree:Brighter")
    found = workload(tmp_path, source, classes)
    chosen = [int(index * 199 / 63) for index in range(64)]
    right = sum(index % 8 != 5 for index in chosen)
    assert named_as_labelled(found, found.classifier) == (right, 64, classes)
    said = describe_data(found)
    assert said == (
        f"data: 200 images [1, 4, 4] from 0 to 0.5; the classifier names {right} of 64 as they are labelled"
    )


def test_classes_in_another_order_than_the_outputs_are_told_of(tmp_path: Path) -> None:
    said = describe_data(workload(tmp_path, corner(1, 2, 3, 0)))
    assert "no more than guessing does of 4 classes: are these in the order of its outputs" in said


@pytest.mark.parametrize(("order", "labelled"), [((0, 1, 2), True), ((0, 1, 2, 3), False)])
def test_nothing_is_said_of_labels_where_outputs_have_none(
    tmp_path: Path, order: tuple[int, ...], labelled: bool
) -> None:
    said = describe_data(workload(tmp_path, corner(*order), labelled=labelled))
    assert said == "data: 200 images [1, 4, 4] from 0 to 0.5"


def test_a_network_that_raises_on_a_later_sample_is_refused_with_what_it_raised(tmp_path: Path) -> None:
    found = workload(tmp_path, ModelSource("nets_agree:Fussy"))
    with pytest.raises(InputError, match="the classifier must take every sample of the data") as caught:
        describe_data(found)
    assert (caught.value.key, caught.value.suggestion) == ("models.classifier", "ArithmeticError: too bright")
