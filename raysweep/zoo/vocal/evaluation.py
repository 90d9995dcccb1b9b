"""What the card says about the networks, measured: distances in a network's features, recognition, multiply-adds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from raysweep.objectives.frechet import Reference, frechet_distance
from raysweep.zoo.vocal.networks import LATENT

CHUNK = 100


@torch.no_grad()
def sample(generator: nn.Module, n: int, seed: int) -> Tensor:
    """n log-mels [n, 1, 80, 115]."""
    z = torch.randn(n, LATENT, generator=torch.Generator().manual_seed(seed))
    return read(generator, z)


@torch.no_grad()
def read(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The outputs of `net` for all of x, in chunks."""
    return torch.cat([net(part.float()) for part in x.split(CHUNK)])


def distance(features: Tensor, reference: Tensor, n: int) -> float:
    """Squared Fréchet distance of features [N, D] to [N, D]: the mean over disjoint pairs of blocks of n."""
    blocks = zip(features.split(n), reference.split(n), strict=False)
    found = [frechet_distance(a, Reference.fit(b)) for a, b in blocks if len(a) == len(b) == n]
    return sum(found) / len(found)


def recall(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Share of excerpts on the right side of logit 0: of all, of the vocal, of the non-vocal."""
    right = ((logits[:, 0] > 0) == (y > 0)).float()
    return {"accuracy": _mean(right), "vocal": _mean(right[y > 0]), "non-vocal": _mean(right[y == 0])}


def multiply_adds(net: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass of one example."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(example)
    return int(counter.get_total_flops()) // 2


def _mean(x: Tensor) -> float:
    return float(x.mean())
