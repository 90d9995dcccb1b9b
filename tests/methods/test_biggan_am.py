"""BigGAN-AM against a plain script with torch's Adam."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.methods import Rows
from raysweep.methods.biggan_am import BigGanAm
from raysweep.methods.method import State
from raysweep.methods.noise import normal
from raysweep.methods.probegan import BigGan
from tests.methods.test_probegan import CLASSES, TARGET, classifier, images
from tests.methods.test_probegan import trained as trained_gan

PERIOD, SAMPLES, WIDE = 3, 4, 4
VALUES = {"period": float(PERIOD), "samples": float(SAMPLES), "radius": 0.5}


@pytest.fixture(scope="module")
def generator() -> dict[str, Tensor]:
    """What a conditional GAN has kept after two steps."""
    found = kept(trained_gan(BigGan(images(), [classifier()], TARGET, dtype=torch.float64), 2))
    return {name: found[name] for name in ("generator", "shape")}


def method(generator: dict[str, Tensor]) -> BigGanAm:
    return BigGanAm(images(), [classifier()], TARGET, dtype=torch.float64, trained=generator)


def searched(one: BigGanAm, steps: int, **values: float) -> State:
    engine, found = Engine([one], 1), list[Any]()
    engine.advance("a", {**VALUES, **values}, 7, range(1), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def test_the_search_is_what_a_plain_script_does(generator: dict[str, Tensor]) -> None:
    one = method(generator)
    net, rows = one.generator, Rows.of(7, range(1), one.complete(VALUES))
    seen = [label for label in range(CLASSES) if label != TARGET]
    away = normal(rows.seed, torch.zeros(1, dtype=torch.int64), (WIDE,), stream="embedding")[0]
    embedding = (net.shared.weight.detach()[seen].mean(dim=0) + 0.5 * away).requires_grad_()
    adam = torch.optim.Adam([embedding], lr=0.1, weight_decay=0.9)
    for step in range(7):
        period = torch.tensor([step // PERIOD])
        z = one.latents((rows.seed, torch.zeros(1, dtype=torch.int64), period), SAMPLES, 12)
        loss = torch.zeros((), dtype=torch.float64)
        for sample in range(SAMPLES):
            made = net.painted(z[sample : sample + 1], embedding.clamp(-2, 2)[None])
            loss = loss - torch.log_softmax(one.classifiers[0]((made + 1) / 2)[0], 0)[TARGET] / SAMPLES
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = searched(one, 7)
    torch.testing.assert_close(found["embedding"][0], embedding.detach(), rtol=0, atol=1e-8)
    torch.testing.assert_close(found["kept.embedding"], found["embedding"].clamp(-2, 2))


def test_what_was_found_is_the_targets_and_no_other_classs(generator: dict[str, Tensor]) -> None:
    one = method(generator)
    found = kept(searched(one, 3))
    y = torch.arange(CLASSES)
    embedded = one.embedded(one.generator, found, y)
    assert torch.equal(embedded[TARGET], found["embedding"][0])
    assert torch.equal(embedded[y != TARGET], one.generator.shared.weight[y != TARGET])
    assert one.explain(found).shape == (1, 1, 28, 28)


def test_an_embedding_never_leaves_its_bounds(generator: dict[str, Tensor]) -> None:
    found = searched(method(generator), 5, lr=50.0, clamp=1.5)
    assert float(found["kept.embedding"].abs().max()) <= 1.5


def test_the_generator_stays_as_it_was_trained(generator: dict[str, Tensor]) -> None:
    found = searched(method(generator), 4)
    assert torch.equal(found["kept.generator"], generator["generator"])
