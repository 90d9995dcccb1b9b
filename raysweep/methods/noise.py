"""Random numbers keyed by what they are for, never by where they are drawn.

A row's noise depends on (sweep seed, example, step, stream) alone, so every configuration sees the same numbers
(common random numbers) whatever worker, batch position or order it runs in.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def normal(
    seed: Tensor, example: Tensor, shape: tuple[int, ...], *, step: Tensor | None = None, stream: str = ""
) -> Tensor:
    """Standard normal numbers for each row, float64 `[B, *shape]` on the CPU.

    Args:
        seed, example: int64 [B].
        step: int64 [B] for noise that is fresh at each step; None for what is drawn once.
        stream: a name that keeps two uses of noise within a step apart.
    """
    steps = [-1] * len(seed) if step is None else step.tolist()
    drawn = [
        torch.randn(shape, dtype=torch.float64, generator=_generator(*key, stream))
        for key in zip(seed.tolist(), example.tolist(), steps, strict=True)
    ]
    return torch.stack(drawn) if drawn else torch.empty((0, *shape), dtype=torch.float64)


def _generator(seed: int, example: int, step: int, stream: str) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{example}/{step}/{stream}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
