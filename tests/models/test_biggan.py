"""The GAN's networks: shapes, spectral norms, and two orders of operations that BigGAN has the other way round."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from raysweep.errors import InputError
from raysweep.models.biggan import Discriminator, Downward, Generator, Upward, check_images
from raysweep.models.spectral import SpectralConv2d, SpectralLinear, normalised


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (40, 2), (48, 1), (64, 3)])
def test_images_of_every_size_go_through_both_networks(size: int, channels: int) -> None:
    check_images((channels, size, size), "data.source")
    generator = Generator(10, size, channels, width=1, latent=20, embedding=4)
    discriminator = Discriminator(10, size, channels, width=1)
    y = torch.tensor([0, 9])
    x = generator(torch.randn(2, 20), y)
    assert x.shape == (2, channels, size, size)
    assert float(x.detach().abs().max()) <= 1
    assert [tuple(score.shape) for score in discriminator(x, y)] == [(2,), (2,)]
    torch.testing.assert_close(discriminator.eval().critic(x), discriminator(x, y)[1])


@pytest.mark.parametrize("shape", [(1, 26, 26), (1, 68, 68), (4, 32, 32), (1, 28, 32), (3, 30, 30), (784,)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="28 to 64"):
        check_images(shape, "data.source")


@pytest.mark.parametrize("layer", [SpectralLinear(7, 5), SpectralConv2d(3, 6)])
def test_a_weight_is_divided_by_its_largest_singular_value(layer: SpectralLinear | SpectralConv2d) -> None:
    for _ in range(200):
        normalised(layer)
    values = torch.linalg.svdvals(normalised(layer).detach().flatten(1))
    assert float(values[0]) == pytest.approx(1, abs=1e-5)


def test_looking_at_a_weight_does_not_move_its_vector() -> None:
    layer = SpectralLinear(7, 5).eval()
    before = layer.u.clone()
    layer(torch.ones(1, 7))
    assert torch.equal(layer.u, before)
    layer.train()(torch.ones(1, 7))
    assert not torch.equal(layer.u, before)


def test_a_block_upwards_may_double_after_its_shortcut() -> None:
    block = Upward(3, 5, 4).double().eval()
    x, condition = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 4).double()
    h = functional.interpolate(functional.relu(block.first_norm(x, condition)), scale_factor=2)
    h = block.second(functional.relu(block.second_norm(block.first(h), condition)))
    wanted = h + block.shortcut(functional.interpolate(x, scale_factor=2))
    torch.testing.assert_close(block(x, condition), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("first", [True, False])
def test_a_block_downwards_may_halve_before_its_shortcut(first: bool) -> None:
    block = Downward(3, 5, halves=True, first=first).double().eval()
    assert block.shortcut is not None
    x = torch.randn(2, 3, 4, 4).double()
    h = block.second(functional.relu(block.first(x if first else functional.relu(x))))
    wanted = functional.avg_pool2d(h, 2) + functional.avg_pool2d(block.shortcut(x), 2)
    torch.testing.assert_close(block(x), wanted, rtol=0, atol=1e-12)
