"""Trainings in bfloat16: what layers compute is rounded, and nothing else; they go on exactly where they were left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import RowStore
from raysweep.methods import Rows
from raysweep.methods.biggan_am import BigGanAm
from raysweep.methods.gan import RealImages
from raysweep.methods.method import State
from raysweep.methods.probegan import ProbeGan
from raysweep.models.spectral import SpectralConv2d, SpectralLinear, normalised

TARGET, CLASSES = 2, 4
VALUES = {"width": 2.0, "latent": 12.0, "embedding": 4.0, "batch": 8.0, "discriminator_steps": 2.0, "ema_start": 2.0}
HALF = torch.bfloat16


def method(dtype: torch.dtype) -> ProbeGan:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, 3, 32, 32, generator=generator)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(900, CLASSES)).requires_grad_(False)
    kept = torch.float64 if dtype == torch.float64 else torch.float32
    return ProbeGan(RealImages(x, torch.arange(40) % CLASSES, CLASSES), [net.to(kept)], TARGET, dtype=dtype)


def rows_of(one: ProbeGan, step: int = 0) -> Rows:
    rows = Rows.of(7, range(1), one.complete(VALUES))
    return Rows(rows.seed, rows.example, rows.step + step, rows.draw, rows.values)


def trained(one: ProbeGan, steps: int) -> State:
    engine, found = Engine([one], 1), list[Any]()
    engine.advance("a", VALUES, 7, range(1), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def judged(one: ProbeGan, state: State) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Terms of both losses where a training is, their gradients, and the vectors of spectral norms after them."""
    rows = rows_of(one)
    nets = dict(zip(("generator", "discriminator"), one._networks(rows), strict=True))
    terms, gradients, vectors = dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()
    losses: dict[str, Callable[..., Any]] = {"discriminator": lambda *a: one.discriminator_loss(*a, 0)}
    losses["generator"] = one.generator_loss
    for learning, loss_of in losses.items():
        for name, net in nets.items():
            buffers = state[f"{name}.buffers"][0].to(one.dtype, copy=True)
            net.load(state[name][0].to(one.dtype), buffers, learns=name == learning)
        loss, found = loss_of(nets["generator"].module, nets["discriminator"].module, rows)
        for name, net in nets.items():
            moved = [one.clone() for key, one in net.module.named_buffers() if key.endswith("u")]
            vectors[f"{learning}/{name}"] = torch.cat(moved)
        gradients[learning] = nets[learning].gradient(loss)
        terms |= {name: value.detach() for name, value in found.items()}
    return terms, gradients, vectors


@pytest.fixture(scope="module")
def state() -> State:
    """Where a training in float32 is after some steps."""
    return trained(method(torch.float32), 4)


def test_every_term_and_gradient_is_the_exact_one_within_what_bfloat16_rounds(state: State) -> None:
    (exact, wanted, _), (terms, gradients, _) = (judged(method(dtype), state) for dtype in (torch.float64, HALF))
    assert set(terms) == set(exact)
    assert len(terms) == 6
    for name, value in terms.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(exact[name]), rel=0.03, abs=0.03), name
        assert float(value) != pytest.approx(float(exact[name]), rel=1e-6), name  # it was rounded
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        assert torch.cosine_similarity(gradient.double(), wanted[name], dim=0) > 0.995, name
        assert float(gradient.norm()) == pytest.approx(float(wanted[name].norm()), rel=0.03), name


def test_the_vectors_of_spectral_norms_are_those_of_float32(state: State) -> None:
    found, wanted = (judged(method(dtype), state)[2] for dtype in (HALF, torch.float32))
    assert len(found) == 4
    for name, vector in found.items():
        torch.testing.assert_close(vector, wanted[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", [SpectralLinear(7, 5), SpectralConv2d(3, 6)])
def test_a_weight_is_normalised_in_its_own_precision(layer: SpectralLinear | SpectralConv2d) -> None:
    layer.eval()
    with torch.autocast("cpu", HALF):
        found = normalised(layer)
    assert torch.equal(found, normalised(layer))
    assert found.dtype == torch.float32


def test_images_scores_and_features_are_float32_and_maps_are_not() -> None:
    one = method(HALF)
    generator, discriminator = (net.module for net in one._networks(rows_of(one)))
    maps: list[torch.dtype] = []
    for part in (*generator.blocks, *discriminator.blocks):
        part.register_forward_hook(lambda _, __, out: maps.append(out.dtype))
    y = torch.tensor([0, 1])
    x = generator(torch.randn(2, 12), y)
    seen = [x, *discriminator(x, y), discriminator.trunk(x), one.logits(x, rows_of(one))]
    assert {value.dtype for value in seen} == {torch.float32}
    assert set(maps) == {HALF}


def test_everything_that_is_kept_is_float32_and_finer_than_bfloat16() -> None:
    one = method(HALF)
    state = trained(one, 4)
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    for name in ("generator", "discriminator", "kept.generator", "discriminator.second"):
        assert (state[name] != state[name].to(HALF)).float().mean() > 0.5, name


def test_a_training_in_bfloat16_goes_on_bitwise_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    whole = trained(method(HALF), 6)
    for to in (3, 6):  # a process each: all that is left of the first is a file
        store = RowStore(tmp_path)
        engine, found = Engine([method(HALF)], 1, store=store), list[Any]()
        engine.advance("a", VALUES, 7, range(1), to, found.append)
        made = 0
        while engine.step_lane(0):
            made += 1
        assert made == 3
        store.settled().result()
    for name, value in whole.items():
        assert torch.equal(found[0][name], value), name


def test_an_embedding_is_searched_in_bfloat16_too(state: State) -> None:
    kept = {"generator": state["kept.generator"], "shape": state["kept.shape"]}

    def loss(dtype: torch.dtype) -> Tensor:
        base = method(dtype)
        one = BigGanAm(base.images, base.classifiers, TARGET, dtype, trained=kept)
        rows = Rows.of(7, range(1), one.complete({}))
        return one.loss(torch.full((1, 4), 0.01, dtype=one.dtype), rows).detach()

    found, wanted = loss(HALF), loss(torch.float64)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(wanted), rel=0.03)
    assert float(found) != pytest.approx(float(wanted), rel=1e-6)
