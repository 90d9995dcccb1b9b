"""Random numbers keyed by what they are for, never by where they are drawn.

A row's noise depends on (sweep seed, example, step, draw, stream) alone, so every configuration sees the same numbers
(common random numbers) whatever worker, batch position or order it runs in.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_GOLDEN, _MIX_A, _MIX_B = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The constants of SplitMix64, as the int64 of the same bits."""


def normal(seed: Tensor, example: Tensor, shape: tuple[int, ...], *, stream: str = "") -> Tensor:
    """Standard normal numbers that each row draws once, float64 `[B, *shape]` on the CPU.

    Args:
        seed, example: int64 [B].
        stream: a name that keeps two uses of noise apart.
    """
    drawn = [
        torch.randn(shape, dtype=torch.float64, generator=_generator(*key, stream))
        for key in zip(seed.tolist(), example.tolist(), strict=True)
    ]
    return torch.stack(drawn) if drawn else torch.empty((0, *shape), dtype=torch.float64)


def fresh_uniform(keys: tuple[Tensor, ...], size: int, *, stream: str) -> Tensor:
    """Uniform numbers in (0, 1) that are new at each step, float32 `[B, size]`, where the keys are.

    Args:
        keys: int64 [B] each, such as (seed, example, step, draw).
        size: numbers a row.
        stream: a name that keeps two uses of noise within a step apart.
    """
    return _fraction(_words(keys, size, stream))


def fresh_normal(keys: tuple[Tensor, ...], size: int, *, stream: str) -> Tensor:
    """Standard normal numbers that are new at each step, float32 `[B, size]`; see `fresh_uniform`.

    Two of each 64-bit word, by Box and Muller, *A note on the generation of random normal deviates*, 1958.
    """
    words = _words(keys, (size + 1) // 2, stream)
    radius = torch.sqrt(-2 * torch.log(_fraction(words)))
    angle = (2 * math.pi) * _fraction(words << 32)
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :size]


def _words(keys: tuple[Tensor, ...], count: int, stream: str) -> Tensor:
    """64 random bits in an int64, [B, count]: SplitMix64's sequence from a state that the keys are mixed into.

    Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
    """
    state = torch.full_like(keys[0], int.from_bytes(_digest(stream), "big"))
    for key in keys:
        state = _mixed((state ^ key) + _GOLDEN)
    place = torch.arange(1, count + 1, device=state.device) * _GOLDEN
    return _mixed(state[:, None] + place)


def _mixed(word: Tensor) -> Tensor:
    """SplitMix64's finaliser; products wrap around as they do in C."""
    word = (word ^ _right(word, 30)) * _MIX_A
    word = (word ^ _right(word, 27)) * _MIX_B
    return word ^ _right(word, 31)


def _right(word: Tensor, places: int) -> Tensor:
    """A shift that fills with zeros, where int64's own fills with the sign."""
    return (word >> places) & ((1 << (64 - places)) - 1)


def _fraction(words: Tensor) -> Tensor:
    """The upper 23 bits, and a half, as a fraction: float32 holds it exactly, so that it is never 0 or 1."""
    return (_right(words, 41).to(torch.float32) + 0.5) * 2.0**-23


def _generator(seed: int, example: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(_digest(f"{seed}/{example}/-1/{stream}"), "big"))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=7).digest()
