"""Noise is its key's alone. Both sides of every other test draw from `normal`; only here are its numbers held to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from raysweep.methods.noise import normal


def key(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


# From torch 2.13 on x86-64. If they change, so does every sweep's start: results of before and after do not compare.
FROZEN = {
    (0, 0, None, "latent"): (0.3627788058988282, -1.4061939252678604, 0.911871785434498),
    (0, 1, None, "latent"): (0.11887624111827216, -0.8044186330899699, 0.6665780078585211),
    (7, 1, None, "latent"): (-0.35744324540925737, 0.2336718283831107, 0.9648461379098401),
    (7, 1, 0, "latent"): (-0.707115267123785, -0.05135714347251022, -1.7756320672437347),
    (7, 1, 3, "latent"): (-1.128304510630115, -1.4501404709139791, 0.5683183496588533),
    (7, 1, 3, "mask"): (1.5638998574325427, -0.3244471289722584, 1.8394909774121304),
}


@pytest.mark.parametrize("of", FROZEN)
def test_numbers_are_those_of_earlier_releases(of: tuple[int, int, int | None, str]) -> None:
    seed, example, step, stream = of
    found = normal(key(seed), key(example), (64,), step=None if step is None else key(step), stream=stream)
    assert found.shape == (1, 64)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found[0, [0, 1, 63]], FROZEN[of], rtol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        normal(key(6), key(1), (4,), step=key(3), stream="latent"),
        normal(key(5), key(2), (4,), step=key(3), stream="latent"),
        normal(key(5), key(1), (4,), step=key(4), stream="latent"),
        normal(key(5), key(1), (4,), step=None, stream="latent"),
        normal(key(5), key(1), (4,), step=key(3), stream="mask"),
        normal(key(1), key(5), (4,), step=key(3), stream="latent"),
        normal(key(51), key(1), (4,), step=key(3), stream="latent"),
    ],
    ids=["seed", "example", "step", "no step", "stream", "seed and example swapped", "digits of seed and example"],
)
def test_each_part_of_the_key_gives_other_numbers(other: Tensor) -> None:
    assert not (normal(key(5), key(1), (4,), step=key(3), stream="latent") == other).any()


def test_a_rows_numbers_do_not_depend_on_its_place_in_the_batch() -> None:
    seed, example, step = key(1, 1, 2, 2), key(0, 1, 0, 1), key(9, 8, 7, 9)
    together = normal(seed, example, (3, 5), step=step)
    order = [2, 0, 3, 1]
    assert torch.equal(normal(seed[order], example[order], (3, 5), step=step[order]), together[order])
    for row in range(4):
        alone = normal(seed[row : row + 1], example[row : row + 1], (3, 5), step=step[row : row + 1])
        assert torch.equal(alone[0], together[row])


def test_torchs_own_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = normal(key(0), key(0), (4,))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(normal(key(0), key(0), (4,)), first)


@pytest.mark.parametrize("vary", ["seed", "example", "step"])
def test_numbers_are_standard_normal_and_unrelated_from_row_to_row(vary: str) -> None:
    keys = {name: torch.zeros(500, dtype=torch.int64) for name in ("seed", "example", "step")}
    keys[vary] = torch.arange(500)
    drawn = normal(keys["seed"], keys["example"], (64,), step=keys["step"]).numpy()
    error = 1 / np.sqrt(drawn.size)
    assert abs(drawn.mean()) < 4 * error
    assert abs(drawn.var() - 1) < 4 * error * np.sqrt(2)
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.001
    neighbours = np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]
    assert abs(neighbours) < 4 * error


def test_no_rows_give_no_numbers() -> None:
    assert normal(key(), key(), (4,)).shape == (0, 4)
