"""Guided feature inversion against the authors' loop: one image, three passes and a loop over channels a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError
from raysweep.methods.blurring import blurred
from raysweep.methods.components import Components, pixels
from raysweep.methods.fills import Constant
from raysweep.methods.gfi import GuidedFeatureInversion
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import State
from raysweep.models.readout import Readout

CONFIG = {"lr": 0.05, "halving": 4, "inversion_steps": 5, "inversion_norm_weight": 0.03, "norm_weight": 0.02}
CONFIG |= {"background_weight": 0.7, "blur": 1.5, "initial_weight": 1.0}
PAPER = {"norm": "l1", "score": "logit", "error": "sum"}
CODE = {"norm": "squared", "score": "softmax", "error": "relative"}
LAYERS = ["4", "5"]
UNITS = torch.tensor([2, 0, 1])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 7, 3, padding=1)
    net = nn.Sequential(first, nn.ReLU(), nn.AvgPool2d(2), second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    return net.append(nn.Linear(7 * 4, 3)).double().eval().requires_grad_(False)


def samples() -> Tensor:
    return torch.rand(3, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def masking() -> Masking:
    x = samples()
    explained = Explained(x, torch.arange(len(x)), torch.ones(len(x), dtype=torch.int64), UNITS)
    parts = Components(pixels((2, 8, 8)), (2, 8, 8))
    return Masking(Readout(network()), Constant(torch.zeros(())), explained, parts, dtype=torch.float64)


def method(guides: list[str] = LAYERS[:1], **changes: Any) -> GuidedFeatureInversion:
    return GuidedFeatureInversion(masking(), LAYERS, guides, **changes)


def advance(one: GuidedFeatureInversion, config: dict[str, float], to: int, examples: range = range(3)) -> State:
    found: list[State | Exception] = []
    engine = Engine([one], 4)
    engine.advance("a", config, 7, examples, to, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def slow_blur(x: Tensor, radius: float) -> Tensor:
    """[C, H, W], pixel by pixel."""
    height, width = x.shape[1:]
    found = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            rows = torch.tensor([-((i - k) ** 2) / (2 * radius**2) for k in range(height)], dtype=x.dtype).exp()
            columns = torch.tensor([-((j - k) ** 2) / (2 * radius**2) for k in range(width)], dtype=x.dtype).exp()
            weights = rows[:, None] * columns
            found[:, i, j] = (x * weights).sum(dim=(1, 2)) / weights.sum()
    return found


def slow_gfi(image: int, config: dict[str, float], steps: int, layer: str, guide: str, **how: str) -> Tensor:
    """ω after so many steps."""
    net, x, unit = network(), samples()[image], int(UNITS[image])
    hidden = slow_blur(x, config["blur"])

    def read(z: Tensor, name: str) -> Tensor:
        return net[: int(name) + 1](z[None])[0]

    def score(z: Tensor) -> Tensor:
        scores = net(z[None])[0]
        return (scores.softmax(dim=0) if how["score"] == "softmax" else scores)[unit]

    maps, wanted = read(x, guide), read(x, layer)
    weights = torch.full((len(maps),), config["initial_weight"], dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weights], lr=config["lr"])
    for step in range(steps):
        mask = torch.zeros(maps.shape[1:], dtype=torch.float64)
        for channel in range(len(maps)):
            mask = mask + weights[channel] * maps[channel]
        mask = functional.interpolate(mask[None, None], size=(8, 8), mode="bilinear", align_corners=True)[0, 0]
        mask = (mask - mask.min()) / mask.max()
        shown, rest = x * mask + hidden * (1 - mask), x * (1 - mask) + hidden * mask
        norm = weights.abs().sum() if how["norm"] == "l1" else (weights**2).sum()
        error = ((read(shown, layer) - wanted) ** 2).sum()
        if how["error"] == "relative":
            error = error / (wanted**2).sum()
        if step < config["inversion_steps"]:
            loss = error + config["inversion_norm_weight"] * norm
        else:
            loss = -score(shown) + config["background_weight"] * score(rest) + config["norm_weight"] * norm
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            weights.clamp_(min=0)
        if (step + 1) % config["halving"] == 0:
            adam.param_groups[0]["lr"] *= 0.5
    return weights.detach()


@pytest.mark.parametrize("how", [PAPER, CODE], ids=["paper", "code"])
def test_many_images_at_once_give_what_each_gives_alone_in_the_authors_loop(how: Any) -> None:
    for layer, name in enumerate(LAYERS):
        found = advance(method(**how), {**CONFIG, "layer": layer}, 14)["params"]
        for image in range(3):
            wanted = slow_gfi(image, CONFIG, 14, name, "4", **how)
            torch.testing.assert_close(found[image], wanted, atol=1e-9, rtol=1e-9)


def test_each_row_may_have_a_guide_of_its_own() -> None:
    one = method(["1", "4"], **CODE)
    for guide, (name, channels) in enumerate((("1", 5), ("4", 7))):
        found = advance(one, {**CONFIG, "guide": guide}, 9)["params"]
        for image in range(3):
            wanted = slow_gfi(image, CONFIG, 9, "4", name, **CODE)
            torch.testing.assert_close(found[image, :channels], wanted, atol=1e-9, rtol=1e-9)


def test_rows_in_both_parts_share_a_lane_and_change_no_digit_of_each_other() -> None:
    found: dict[str, State] = {}
    engine = Engine([method()], 4)
    for name, to in (("long", 9), ("short", 3)):
        values = {**CONFIG, "inversion_steps": 2 if name == "short" else 5}
        engine.advance(name, values, 7, range(3), to, lambda state, name=name: found.update({name: state}))  # type: ignore[misc]
    engine.run()
    alone = advance(method(), CONFIG, 9)
    torch.testing.assert_close(found["long"]["params"], alone["params"], atol=1e-12, rtol=0)


def test_blur_is_a_gaussian_that_darkens_no_edge() -> None:
    x, radius = samples(), torch.tensor([0.5, 1.5, 11.0], dtype=torch.float64)
    found = blurred(x, radius)
    for image in range(3):
        torch.testing.assert_close(found[image], slow_blur(x[image], float(radius[image])))
    torch.testing.assert_close(blurred(torch.ones_like(x), radius), torch.ones_like(x))
    torch.testing.assert_close(blurred(x, torch.zeros(3, dtype=torch.float64)), x)


def test_what_is_shown_is_the_image_where_the_mask_keeps_it() -> None:
    one = method()
    state = advance(one, CONFIG, 6)
    found = kept(state)
    assert found["heat"].shape == (3, 1, 8, 8)
    assert 0 <= float(found["heat"].min()) <= float(found["heat"].max()) <= 1
    torch.testing.assert_close(one.explain(found), samples() * found["heat"])


def test_signed_maps_give_masks_in_the_same_range() -> None:
    mask = kept(advance(method(["3"]), CONFIG, 6))["heat"]
    torch.testing.assert_close(mask.amin(dim=(1, 2, 3)), torch.zeros(3, dtype=torch.float64))
    assert 0.3 < float(mask.amax(dim=(1, 2, 3)).min()) <= float(mask.max()) <= 1


def test_a_mask_that_covers_nothing_is_zero_and_no_nan() -> None:
    state = advance(method(), {**CONFIG, "inversion_norm_weight": 1e4, "lr": 2.0}, 3)
    assert torch.equal(state["params"], torch.zeros_like(state["params"]))
    assert torch.equal(kept(state)["heat"], torch.zeros(3, 1, 8, 8, dtype=torch.float64))


def test_a_guide_without_maps_and_unknown_layers_and_variants_are_refused() -> None:
    with pytest.raises(InputError, match=r"must be a layer with maps.*6 gives \[28\]"):
        method(["6"])
    with pytest.raises(InputError, match=r"layer must be one of the network's.*nine"):
        method(["nine"])
    with pytest.raises(InputError, match=r"norm.*l3"):
        method(norm="l3")


def test_a_layer_that_works_in_place_changes_nothing_that_was_read_before_it() -> None:
    one = method(["3"])
    for part in one.masking.scores.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = True
    torch.testing.assert_close(one.taps(samples())[0]["4"], network()[:5](samples()))
    raw = GuidedFeatureInversion(one.masking, ["3"], ["3"]).reads["3"]
    torch.testing.assert_close(raw, network()[:4](samples()))
    assert float(raw.min()) < 0


def test_layers_are_read_in_batches_of_one_shape() -> None:
    one = masking()
    assert [batch.tolist() for batch in one.batches(2)] == [[0, 1], [2, 2]]
    found = GuidedFeatureInversion(one, LAYERS, LAYERS[:1], batch=2).reads["4"]
    torch.testing.assert_close(found, network()[:5](samples()))
