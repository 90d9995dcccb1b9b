"""What does not fit is refused before anything starts, with both shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from raysweep.data.dataset import Dataset, make_dataset
from raysweep.data.load import load_data
from raysweep.errors import InputError
from raysweep.models.fit import check_data_fit, check_features, check_fit, check_gradient, check_range
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.readout import Readout


def generator(side: int = 8, latent: int | None = 5) -> Model:
    net = nn.Sequential(nn.Linear(5, side * side), nn.Unflatten(1, (1, side, side)))
    return Model(net, "", latent)


def classifier(channels: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.Flatten(), nn.Linear(72, 3))


def images(*shape: int) -> Dataset:
    return make_dataset(np.zeros((4, *shape), dtype=np.float32), None, None, media=None, key="data", source="here")


def refusal(made_by: Model, read: Readout, data: Dataset | None = None) -> str:
    with pytest.raises(InputError) as caught:
        check_fit(made_by, read, data=data)
    return str(caught.value)


def test_the_shape_of_one_explanation_comes_back() -> None:
    assert check_fit(generator(), Readout(classifier(), unit=0)) == (1, 8, 8)


def test_double_precision_networks_are_tried_in_double_precision() -> None:
    model = Model(generator().module.double(), "", 5)
    assert check_fit(model, Readout(classifier().double(), unit=0)) == (1, 8, 8)


def test_a_generator_whose_output_the_classifier_does_not_take_is_refused_with_both_shapes() -> None:
    message = refusal(generator(10), Readout(classifier(), unit=0), images(1, 8, 8))
    assert message.startswith(
        "models.generator: the generator's output must be what the classifier takes: [1, 8, 8], the shape of the data "
        "(found [1, 10, 10]). RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x128 and 72x3)"
    )


def test_without_data_the_classifier_s_first_layer_says_what_it_takes() -> None:
    message = refusal(generator(), Readout(classifier(3), unit=0))
    assert "takes: its first layer is Conv2d(3, 2" in message
    assert "(found [1, 8, 8]). RuntimeError: Given groups=1" in message


def test_a_generator_that_does_not_take_its_latent_is_refused() -> None:
    message = refusal(generator(latent=6), Readout(classifier(), unit=0))
    assert message.startswith("models.generator: the generator must take latents [2, 6]. RuntimeError: mat1 and mat2")


def test_a_generator_that_mixes_up_its_rows_is_refused() -> None:
    flat = Model(nn.Sequential(nn.Linear(5, 8), nn.Flatten(0), nn.Unflatten(0, (1, 16))), "", 5)
    message = refusal(flat, Readout(classifier(), unit=0))
    assert message == "models.generator: the generator must give one output a latent for [2, 5] (found [1, 16])"


def test_a_unit_that_is_not_there_is_found_before_the_start() -> None:
    assert "target.unit: unit must lie between 0 and 2" in refusal(generator(), Readout(classifier(), unit=3))


def test_data_that_the_classifier_does_not_take_is_refused_with_its_shape() -> None:
    with pytest.raises(InputError) as caught:
        check_data_fit(images(3, 8, 8), Readout(classifier(), unit=0))
    assert "data: a sample of the data must be what the classifier takes: its first layer is Conv2d(1" in str(
        caught.value
    )
    assert "(found [3, 8, 8])" in str(caught.value)


def test_the_fashion_zoo_fits_together() -> None:
    made_by, read = zoo("generator", generator=True), Readout(zoo("classifier").module, "features.8", 12)
    data = load_data("zoo://fashion/test")
    assert check_fit(made_by, read, data=data) == data.x.shape[1:]
    check_data_fit(data, read)


def zoo(name: str, generator: bool = False) -> Model:
    return load_model(ModelSource(f"zoo://fashion/{name}"), key=f"models.{name}", generator=generator)


def test_a_judge_that_does_not_take_the_explanations_is_named_as_the_one_at_fault() -> None:
    with pytest.raises(InputError) as caught:
        check_fit(generator(), Readout(classifier(3), unit=0), data=images(1, 8, 8), role="judge")
    message = str(caught.value)
    assert message.startswith("models.judge: the generator's output must be what the judge takes: its first layer is")
    assert "(found [1, 8, 8])" in message


def test_features_of_a_network_that_does_not_take_the_explanations_are_refused_with_the_shape() -> None:
    with pytest.raises(InputError) as caught:
        check_features(Readout(classifier(3)), (1, 8, 8), key="objective.model")
    assert str(caught.value).startswith("objective.model: an explanation must be what the network of the features")
    assert "Conv2d(3, 2" in str(caught.value)
    assert "(found [1, 8, 8])" in str(caught.value)


@pytest.mark.parametrize(("last", "accepted"), [(nn.Sigmoid(), True), (nn.Tanh(), False), (nn.ReLU(), True)])
def test_images_must_be_made_in_the_range_of_the_data(last: nn.Module, accepted: bool) -> None:
    torch.manual_seed(0)
    made_by = Model(nn.Sequential(nn.Linear(5, 64), last, nn.Unflatten(1, (1, 8, 8))), "", 5)
    data = make_dataset(np.linspace(0, 0.9, 256).reshape(4, 1, 8, 8), None, None, media=None, key="data", source="x")
    if isinstance(last, nn.ReLU):  # unbounded, but here it stays within the tolerance
        made_by.module[0].weight.data.mul_(0.1)  # type: ignore[index, union-attr, operator]
    if accepted:
        check_range(made_by, data)
        return
    with pytest.raises(InputError) as caught:
        check_range(made_by, data)
    message = str(caught.value)
    assert message.startswith("models.generator: the generator must make images in [0, 1], as the data are: theirs lie")
    assert "lie in [0, 0.9] (found [-0.9" in message
    assert "after a tanh by (x + 1) / 2" in message


class Detached(nn.Module):
    """A network that gives no gradient back."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net, self.how = nn.Linear(3, 2), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return self.net(x)
        if self.how == "numpy":
            return torch.from_numpy(self.net(x).numpy())
        return self.net(x.long().float())


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("no_grad", "Take torch.no_grad(), detach() and the like out of its forward"),
        ("integers", "Take torch.no_grad(), detach() and the like out of its forward"),
        ("numpy", "RuntimeError: Can't call numpy() on Tensor that requires grad"),
    ],
)
def test_a_network_without_a_gradient_is_refused(how: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        check_gradient(Detached(how), torch.rand(2, 3), key="models.classifier")
    rule = "models.classifier: the network must pass gradients back to its input. "
    assert str(caught.value).startswith(rule + reason)


def test_a_gradient_is_taken_in_the_network_s_own_precision_and_leaves_the_inputs_alone() -> None:
    x = torch.rand(2, 3)
    check_gradient(nn.Linear(3, 2).double(), x, key="models.classifier")
    assert not x.requires_grad
