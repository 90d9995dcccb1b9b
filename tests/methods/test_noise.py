"""Noise is its key's alone. Both sides of other tests draw from it; only in this file are its numbers held to."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from raysweep.methods.noise import fresh_normal, fresh_uniform, normal


def key(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


# From torch 2.13 on x86-64. If they change, so does every sweep's start: results of before and after do not compare.
FROZEN = {
    (0, 0, "latent"): (0.3627788058988282, -1.4061939252678604, 0.911871785434498),
    (0, 1, "latent"): (0.11887624111827216, -0.8044186330899699, 0.6665780078585211),
    (7, 1, "latent"): (-0.35744324540925737, 0.2336718283831107, 0.9648461379098401),
}


@pytest.mark.parametrize("of", FROZEN)
def test_numbers_drawn_once_are_those_of_earlier_releases(of: tuple[int, int, str]) -> None:
    seed, example, stream = of
    found = normal(key(seed), key(example), (64,), stream=stream)
    assert found.shape == (1, 64)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found[0, [0, 1, 63]], FROZEN[of], rtol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        normal(key(6), key(1), (4,), stream="latent"),
        normal(key(5), key(2), (4,), stream="latent"),
        normal(key(5), key(1), (4,), stream="mask"),
        normal(key(1), key(5), (4,), stream="latent"),
        normal(key(51), key(1), (4,), stream="latent"),
    ],
    ids=["seed", "example", "stream", "seed and example swapped", "digits of seed and example"],
)
def test_each_part_of_the_key_gives_other_numbers(other: Tensor) -> None:
    assert not (normal(key(5), key(1), (4,), stream="latent") == other).any()


def test_a_rows_numbers_do_not_depend_on_its_place_in_the_batch() -> None:
    seed, example = key(1, 1, 2, 2), key(0, 1, 0, 1)
    together = normal(seed, example, (3, 5))
    order = [2, 0, 3, 1]
    assert torch.equal(normal(seed[order], example[order], (3, 5)), together[order])
    for row in range(4):
        assert torch.equal(normal(seed[row : row + 1], example[row : row + 1], (3, 5))[0], together[row])


def test_torchs_own_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = normal(key(0), key(0), (4,)), fresh_normal((key(0),), 4, stream="a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(normal(key(0), key(0), (4,)), first[0])
    assert torch.equal(fresh_normal((key(0),), 4, stream="a"), first[1])


def test_no_rows_give_no_numbers() -> None:
    assert normal(key(), key(), (4,)).shape == (0, 4)
    assert fresh_uniform((key(), key()), 4, stream="a").shape == (0, 4)


WRAP = 2**64


def slow_word(keys: tuple[int, ...], place: int, stream: str) -> int:
    """SplitMix64 with Python's own unbounded integers."""

    def mixed(word: int) -> int:
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WRAP
        return word ^ (word >> 31)

    state = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=7).digest(), "big")
    for one in keys:
        state = mixed(((state ^ one) + 0x9E3779B97F4A7C15) % WRAP)
    return mixed((state + (place + 1) * 0x9E3779B97F4A7C15) % WRAP)


@pytest.mark.parametrize("keys", [(0, 0, 0, 0), (7, 3, 100_000, 15), (2**62, 1, 2, 3)])
def test_fresh_numbers_are_split_mix_64s(keys: tuple[int, ...]) -> None:
    tensors = tuple(key(one) for one in keys)
    uniform, gauss = fresh_uniform(tensors, 6, stream="mask")[0], fresh_normal(tensors, 7, stream="mask")[0]
    words = [slow_word(keys, place, "mask") for place in range(6)]
    np.testing.assert_allclose(uniform, [((word >> 41) + 0.5) / 2**23 for word in words], rtol=0)
    pairs = [(((w >> 41) + 0.5) / 2**23, ((w >> 9) % 2**23 + 0.5) / 2**23) for w in words[:4]]
    radii = [math.sqrt(-2 * math.log(first)) for first, _ in pairs]
    expected = [r * math.cos(2 * math.pi * angle) for r, (_, angle) in zip(radii, pairs, strict=True)]
    expected += [r * math.sin(2 * math.pi * angle) for r, (_, angle) in zip(radii, pairs, strict=True)]
    np.testing.assert_allclose(gauss, expected[:7], rtol=1e-4, atol=1e-5)


def test_a_rows_fresh_numbers_do_not_depend_on_its_place_in_the_batch() -> None:
    keys = (key(1, 1, 2, 2), key(0, 1, 0, 1), key(9, 8, 7, 9))
    together = fresh_uniform(keys, 16, stream="a")
    order = [2, 0, 3, 1]
    assert torch.equal(fresh_uniform(tuple(one[order] for one in keys), 16, stream="a"), together[order])


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("draw", [fresh_uniform, fresh_normal])
def test_fresh_numbers_have_their_distribution_and_are_unrelated_from_row_to_row(draw: Any, part: int) -> None:
    """Rows whose keys differ by one in one place: seed, example, step or draw."""
    keys = [torch.zeros(500, dtype=torch.int64) for _ in range(4)]
    keys[part] = torch.arange(500)
    drawn = draw(tuple(keys), 65, stream="fill").double().numpy()
    name = "norm" if draw is fresh_normal else "uniform"
    assert stats.kstest(drawn.ravel(), name).pvalue > 0.001
    error = 1 / np.sqrt(drawn.size)
    for one, other in ((drawn[:-1], drawn[1:]), (drawn[:, :-1], drawn[:, 1:]), (drawn[:, :32], drawn[:, 33:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 * error


def test_fresh_uniform_numbers_are_never_zero_or_one() -> None:
    drawn = fresh_uniform((torch.arange(20_000),), 2000, stream="a")  # more than float32 has fractions
    assert 0 < float(drawn.min()) < 1e-6
    assert 1 - 1e-6 < float(drawn.max()) < 1
