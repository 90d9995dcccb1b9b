"""How the recipe trains the expert: persistent contrastive divergence.

Tieleman, *Training restricted Boltzmann machines using approximations to the likelihood gradient*, ICML 2008: the
gradient of the likelihood is that of the free energy of images less that of samples of the machine itself, which are
drawn by Markov chains that go on from one step to the next. Hidden units are told how images differ from their mean,
which keeps weights and biases apart (Montavon, Müller, *Deep Boltzmann machines and the centering trick*, 2012).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from raysweep.models.rbm import GaussianBernoulliRBM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """One training; `gibbs` steps of every chain for each step of Adam, whose lr falls to 0 in a line."""

    seed: int = 9
    epochs: int = 20
    batch: int = 128
    chains: int = 128
    gibbs: int = 1
    lr: float = 5e-4
    weight_decay: float = 1e-4
    spread: float = 0.003


def train(machine: GaussianBernoulliRBM, images: Tensor, settings: Settings) -> float:
    """Train in place on images [N, ...]; the CPU seconds it took."""
    start = time.process_time()
    random = torch.Generator().manual_seed(settings.seed)
    data = images.flatten(1)
    middle = data.mean(0)
    weight = (settings.spread * torch.randn(machine.weight.shape, generator=random)).requires_grad_()
    visible_bias = middle.clone().requires_grad_()
    centred_bias = torch.zeros_like(machine.hidden_bias).requires_grad_()
    groups: list[dict[str, Any]] = [
        {"params": [weight, visible_bias]},
        {"params": [centred_bias], "lr": 10 * settings.lr},
    ]
    optimiser = torch.optim.Adam(groups, settings.lr)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, settings.epochs * (len(data) // settings.batch))
    chains = data[torch.randperm(len(data), generator=random)[: settings.chains]]
    for epoch in range(settings.epochs):
        order = torch.randperm(len(data), generator=random)
        for index in order[: len(order) // settings.batch * settings.batch].split(settings.batch):
            hidden_bias = centred_bias - middle @ weight / machine.deviation**2
            now = {"weight": weight, "visible_bias": visible_bias, "hidden_bias": hidden_bias}
            machine.load_state_dict({**now, "deviation": machine.deviation})
            with torch.no_grad():
                for _ in range(settings.gibbs):
                    chains = machine.gibbs(chains, random)
            likely = functional_call(machine, now, torch.cat([data[index], chains]))
            gap = likely[settings.batch :].mean() - likely[: settings.batch].mean()
            optimiser.zero_grad()
            (gap + settings.weight_decay * weight.square().sum()).backward()
            optimiser.step()
            falling.step()
        log.info("epoch %d/%d gap %.1f, %.0f s", epoch + 1, settings.epochs, gap.item(), time.process_time() - start)
    return time.process_time() - start


@torch.no_grad()
def judged(machine: GaussianBernoulliRBM, images: Tensor, seed: int) -> dict[str, float]:
    """What a machine makes of images [N, ...] that did not train it.

    Mean free energies of the images, of each with its pixels in an order of its own, and of uniform noise; the mean
    squared error when the hidden probabilities make an image again, and when the images' mean stands for all.
    """
    random, flat = torch.Generator().manual_seed(seed), images.flatten(1)
    order = torch.rand(flat.shape, generator=random).argsort(dim=1)
    again = machine.visible_mean(machine.hidden_probability(flat))
    return {
        "images_energy": float(machine.free_energy(flat).mean()),
        "permuted_energy": float(machine.free_energy(flat.gather(1, order)).mean()),
        "noise_energy": float(machine.free_energy(torch.rand(flat.shape, generator=random)).mean()),
        "error": float((again - flat).square().mean()),
        "variance": float((flat - flat.mean(0)).square().mean()),
    }
