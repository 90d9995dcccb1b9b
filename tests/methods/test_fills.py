"""What stands where a mask has removed a part."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from raysweep.methods.fills import Blur, Constant, Gaussian, Inpainted

NOBODY = torch.zeros(0, dtype=torch.int64)


def never() -> Tensor:
    raise AssertionError("this fill needs no noise")


def test_a_constant_fills_every_sample_alike_and_draws_nothing() -> None:
    x = torch.randn(3, 2, 4)
    assert torch.equal(Constant(torch.tensor(0.5))(x, x, never, NOBODY), torch.full_like(x, 0.5))
    mean = torch.randn(2, 4)
    assert torch.equal(Constant(mean)(x, x, never, NOBODY), mean.expand(3, 2, 4))


def test_noise_has_the_mean_and_deviation_that_it_was_given() -> None:
    fill = Gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]]))
    noise = torch.tensor([[[5.0, -1.0]]])
    assert fill(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), lambda: noise, NOBODY).tolist() == [[[1.0, -1.0]]]


def test_a_blur_is_scipys_gaussian_filter_with_repeated_edges() -> None:
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    found = Blur(1.5, axes=2)(x, x, never, NOBODY)
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=(0, 0, 4, 4))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)  # its kernel is float32


def test_a_blur_of_spectra_goes_along_frequency_only() -> None:
    x = torch.randn(2, 2, 30, dtype=torch.float64)
    expected = ndimage.gaussian_filter1d(x.numpy(), 2.0, mode="nearest", radius=6)
    np.testing.assert_allclose(Blur(2.0, axes=1)(x, x, never, NOBODY).numpy(), expected, atol=1e-6)


def test_an_inpainter_never_sees_what_the_mask_removed() -> None:
    seen: list[tuple[Tensor, ...]] = []

    class Watching(nn.Module):
        def forward(self, packed: Tensor) -> Tensor:
            seen.append(packed.unbind(1))
            return torch.ones_like(packed[:, 0])

    x, mask, noise = torch.full((1, 4), 7.0), torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.randn(1, 4)
    assert Inpainted(Watching())(x, mask, lambda: noise, NOBODY).tolist() == [[1.0] * 4]
    assert seen[0][0].tolist() == [[7.0, 0.0, 7.0, 0.0]]
    assert seen[0][1].tolist() == mask.tolist()
    assert torch.equal(seen[0][2], noise)
