"""A workload says which unit a target is, and refuses before the start what would fail or mislead after it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError
from raysweep.models.model import ModelSource
from raysweep.objectives.recognition import recognised

NETS = """
import torch
from torch import nn
from torch.nn import functional as F

def generator(last="Sigmoid", wrapped=False):
    net = nn.Sequential(nn.Linear(4, 64), getattr(nn, last)(), nn.Unflatten(1, (1, 8, 8)))
    return nn.Sequential(net, Rescale()) if wrapped else net

class Rescale(nn.Module):
    def forward(self, x):
        return (x + 1) / 2

class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = generator()
    def forward(self, z):
        return self.net(z).detach()

def classifier(outputs=3, double=False):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), Loud(72, outputs))
    return net.double() if double else net

class Loud(nn.Linear):
    def forward(self, x):
        return 9 * super().forward(x) - 0.5

class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.norm = nn.Linear(64, 3), nn.BatchNorm1d(3)
    def forward(self, x):
        features = x.flatten(1)
        return self.fc(features), features

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = classifier()
    @torch.no_grad()
    def forward(self, x):
        return self.net(x)

class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = classifier()
    def forward(self, x):
        return self.net(F.dropout(x))

class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.b, self.head = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), classifier()
        self.b[1].running_mean.fill_(0.3)
        self.b[1].bias.data.fill_(0.7)
    def forward(self, x):
        h = self.b[0](x)
        h = F.pad((h + self.b[1](h)).mean(1, keepdim=True), (1, 1, 1, 1))
        return self.head(h)

class Map(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.net = nn.Conv2d(1, outputs, 3)
    def forward(self, x):
        return self.net(x)

class Probability(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = classifier(1)
    def forward(self, x):
        return self.net(x).sigmoid()
"""
SHAPES = ("ring", "bar", "dot")
SINGING = ("non-vocal", "vocal")
Make = Callable[..., Workload]


def network(source: str | None, **args: Any) -> ModelSource | None:
    return None if source is None else ModelSource(f"nets_w:{source}", args=args)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload of the networks above; `classes` name the data's labels."""
    (tmp_path / "nets_w.py").write_text(NETS)

    def build(
        classifier: ModelSource | None = network("classifier"),  # noqa: B008
        classes: tuple[str, ...] = SHAPES,
        scale: float = 1.0,
        **changes: Any,
    ) -> Workload:
        x = scale * np.random.default_rng(0).random((60, 1, 8, 8), dtype=np.float32)
        np.savez(tmp_path / "images.npz", x=x, y=np.arange(60) % len(classes), classes=np.array(classes))
        keys: dict[str, Any] = {
            "method": "am",
            "options": {},
            "generator": network("generator"),
            "classifier": classifier,
            "judge": None,
            "data": "images.npz",
            "media": None,
            "target": classes[1],
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 6,
            "objectives": (ObjectiveSpec("response_fd"),),
            "seed": 0,
            "precision": "float64",
            "folder": str(tmp_path),
        }
        return Workload(WorkloadSpec(**{**keys, **changes}))

    return build


def refusal(workload: Workload) -> str:
    with pytest.raises(InputError) as caught:
        workload.check()
    return str(caught.value)


def test_a_sweep_of_own_networks_passes(make: Make) -> None:
    workload = make()
    workload.check()
    assert workload.unit == 1


@pytest.mark.parametrize("target", ["vocal", 1])
def test_one_output_is_the_second_of_two_classes(make: Make, target: str | int) -> None:
    workload = make(network("classifier", outputs=1), SINGING, target=target)
    workload.check()
    assert workload.unit == 0


def test_the_first_of_two_classes_is_refused_with_one_output(make: Make) -> None:
    message = refusal(make(network("classifier", outputs=1), SINGING, target="non-vocal"))
    assert message.startswith("target.class: must be 'vocal', the class that a network with one output responds to")
    assert message.endswith("write target: vocal and direction: minimise")


def test_names_of_fewer_classes_than_outputs_are_not_used(make: Make) -> None:
    workload = make(network("classifier", outputs=1000), target=805)
    workload.check()
    assert workload.unit == 805
    assert "as there are 1000 outputs and 3 named classes (found 'bar')" in refusal(
        make(network("classifier", outputs=1000))
    )
    assert "index of an output, 0 to 999" in refusal(make(network("classifier", outputs=1000), target=1000))


def test_an_index_that_names_another_class_is_refused(make: Make) -> None:
    assert "both the index of class '10' and the name of another" in refusal(make(classes=("1", "10", "2"), target=1))


def test_a_class_of_a_layer_must_be_one_of_its_units(make: Make) -> None:
    assert make(layer="3").unit == 1
    message = refusal(make(layer="0"))
    assert message.startswith("target.class: must be the index of an output, 0 to 1, as there are 2 outputs and 3")


def test_the_zoo_names_its_own_unit_and_a_layer_of_it_has_others(make: Make) -> None:
    classifier, generator = (ModelSource(f"zoo://fashion/{name}") for name in ("classifier", "generator"))
    keys = {"generator": generator, "data": "zoo://fashion/test", "target": "sneaker"}
    assert make(classifier, **keys).unit == 7
    assert "as there are 64 outputs and 10 named classes" in refusal(make(classifier, layer="features.8", **keys))


@pytest.mark.parametrize(("target", "direction"), [("vocal", "maximise"), ("non-vocal", "minimise")])
def test_a_judge_of_one_logit_sees_either_class_by_its_sign(make: Make, target: str, direction: str) -> None:
    workload = make(
        network("classifier", outputs=2),
        SINGING,
        target=target,
        direction=direction,
        judge=network("classifier", outputs=1),
    )
    workload.check()
    assert workload.judge is not None
    assert workload.judged_unit is not None
    x = torch.from_numpy(workload.data.x)
    logit = workload._judge.module(x)[:, 0]  # type: ignore[union-attr]
    assert 0 < int((logit > 0).sum()) < len(logit)
    seen = recognised(workload.judge.module(x).numpy(), workload.judged_unit, direction)  # type: ignore[arg-type]
    assert seen.tolist() == (logit > 0).tolist()


def test_a_judge_of_maps_is_read_as_their_means(make: Make) -> None:
    workload = make(judge=network("Map"))
    workload.check()
    assert workload.judge is not None
    assert workload.judged_unit == 1
    x = torch.from_numpy(workload.data.x[:4])
    torch.testing.assert_close(workload.judge.module(x), workload._judge.module(x).mean((2, 3)))  # type: ignore[union-attr]


def test_a_judge_that_cannot_know_the_target_is_refused(make: Make) -> None:
    message = refusal(make(judge=network("classifier", outputs=5)))
    assert message == (
        "models.judge: the judge must know the target 'bar': it must be the index of an output, 0 to 4, as there are 5 "
        "outputs and 3 named classes (found 'nets_w:classifier')"
    )


@pytest.mark.parametrize("layer", ["fc", None])
def test_a_network_with_several_outputs_is_read_at_its_layer(make: Make, layer: str | None) -> None:
    workload = make(network("Both"), layer=layer)
    if layer is None:
        assert refusal(workload) == "models.classifier: must give one tensor (found 'the output: tuple')"
        return
    workload.check()
    assert workload.unit == 1


def test_networks_in_double_precision_pass(make: Make) -> None:
    features = ObjectiveSpec("kid", network("classifier", double=True))
    double = network("classifier", double=True)
    make(double, judge=double, objectives=(features,)).check()


def test_a_generator_in_another_range_than_the_images_is_refused_and_wrapping_it_helps(make: Make) -> None:
    message = refusal(make(generator=network("generator", last="Tanh")))
    assert message.startswith("models.generator: the generator must make images in [0, 1], as the data are: theirs lie")
    assert "(x + 1) / 2" in message
    make(generator=network("generator", last="Tanh", wrapped=True)).check()
    make(generator=network("generator", last="Tanh"), media="array").check()


def test_a_sequential_run_in_parts_computes_the_same_in_a_lane(make: Make) -> None:
    workload = make(network("Shared"))
    workload.check()
    method: Any = workload.methods(1, torch.device("cpu"))[0]
    x = torch.from_numpy(workload.data.x[:4])
    expected = workload.classifier.module(x)[:, 1]
    torch.testing.assert_close(method.response(x.double()).float(), expected, atol=1e-4, rtol=1e-4)


def test_a_network_that_passes_no_gradient_is_refused_by_its_key(make: Make) -> None:
    rule = "the network must pass gradients back to its input"
    assert refusal(make(network("Frozen"))).startswith(f"models.classifier: {rule}")
    assert refusal(make(generator=network("Detached"))).startswith(f"models.generator: {rule}")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"judge": network("Noisy")}, "models.judge"),
        ({"classifier": network("Noisy")}, "models.classifier"),
        ({"objectives": (ObjectiveSpec("kid", network("Noisy")),)}, "objective.0.model"),
    ],
)
def test_noise_is_refused_wherever_a_network_is_used(make: Make, changes: dict[str, Any], key: str) -> None:
    assert refusal(make(**changes)).startswith(f"{key}: a network must give the same output for the same input")


def test_a_probability_is_refused_as_response_and_as_judge(make: Make) -> None:
    rule = "the response must be the one before softmax or sigmoid, and all outputs lie between 0 and 1"
    assert refusal(make(network("Probability"), SINGING)).startswith(f"models.classifier: {rule}")
    judged = make(network("classifier", outputs=1), SINGING, judge=network("Probability"))
    assert refusal(judged).startswith(f"models.judge: {rule}")
    make(network("Probability"), SINGING, layer="net.3").check()


class Inception(nn.Module):
    """What the FID network takes and gives."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return img.float().mean((2, 3))[:, :1].repeat(1, 2048)


def test_the_inception_network_is_for_images(make: Make, tmp_path: Path) -> None:
    name = "inception-2015-12-05.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Inception()).save(str(tmp_path / name))
    fid = (ObjectiveSpec("fid", ModelSource(name, trust="torchscript")),)
    make(objectives=fid).check()
    message = refusal(make(objectives=fid, media="array"))
    assert message.startswith("objective.0: the Inception network takes images in [0, 1], so media must be image")


def test_the_networks_are_tried_without_data(make: Make, tmp_path: Path) -> None:
    workload = make(unit=1, layer="3", target=None)
    (tmp_path / "images.npz").unlink()
    workload.explainer.check(None)
    assert len(workload.methods(1, torch.device("cpu"))) == 1
