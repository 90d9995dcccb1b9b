"""ProbeGAN: what a classifier remembers of a class that the images never show.

A generator G(z, y) of all classes learns to look from images of all but the target class y*, and what y* is from the
frozen classifier alone. The discriminator's head D_c knows the classes that are seen; its head D_u knows none, and sees
fakes of all classes (class dilution), so that fakes of y* must be like images too.

    D: w_c hinge(D_c; seen classes) + w_u (E[D_u(fake)] − E[D_u(real)] + drift (E[D_u(fake)²] + E[D_u(real)²])
                                           + λ_gp E[(‖∇D_u(x̂)‖ − 1)²])
    G: −w_c E[D_c(fake); seen classes] + w_u (−E[D_u(fake)] + drift E[D_u(fake)²]) + λ_g E[−log p(y|G(z, y))]

w_c, w_u, λ_gp and λ_g are `conditional_weight`, `unconditional_weight`, `penalty_weight` and `classifier_weight`.
Zhang, Zhou, Zhang, Cox, Chang, *An adversarial framework for generating unseen images by activation maximization*,
AAAI 2022; constants as in the authors' code for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.methods.adam import adam_step
from raysweep.methods.flat import Flat
from raysweep.methods.gan import GanMethod
from raysweep.methods.method import Bound, Rows, State, Turn
from raysweep.methods.noise import fresh_uniform, normal
from raysweep.models.biggan import DEVIATION, Discriminator, Generator

MEMORY = 0.99
"""How slowly the losses that are reported forget."""
NO_CLASSES = {"conditional_weight": "must be left out: probegan_naive has no head that knows classes"}
"""What the naive baseline does not have."""
NO_PROBE = {
    **dict.fromkeys(("classifier", "classifier_weight"), "must be left out: biggan probes no classifier"),
    **dict.fromkeys(
        ("unconditional_weight", "penalty_weight", "drift"),
        "must be left out: biggan has no head that knows no classes",
    ),
}
"""What a conditional GAN does not have."""


@dataclass(frozen=True)
class Batch:
    """Images in [-1, 1] and their classes."""

    x: Tensor
    y: Tensor


class ProbeGan(GanMethod):
    """Generator and discriminator, trained from nothing: a row is one training, a step is one of the generator's."""

    name = "probegan"
    hyperparameters = {  # noqa: RUF012
        "generator_lr": Bound(0, open=True, default=2e-4),
        "discriminator_lr": Bound(0, open=True, default=2e-4),
        "discriminator_steps": Bound(1, whole=True, default=4, usual=1),
        "batch": Bound(2, whole=True, default=64, usual=8),
        "beta1": Bound(0, 0.9999, default=0.0),
        "beta2": Bound(0, 0.9999, default=0.999),
        "classifier_weight": Bound(0, default=1.0),
        "conditional_weight": Bound(0, default=1.0),
        "unconditional_weight": Bound(0, default=1.0),
        "penalty_weight": Bound(0, default=10.0),
        "drift": Bound(0, default=1e-4),
        "ema_decay": Bound(0, 0.999999, default=0.9999),
        "ema_start": Bound(0, whole=True, default=1000),
        "width": Bound(1, whole=True, default=64, usual=8),
        "latent": Bound(5, whole=True, default=120, usual=120),
        "embedding": Bound(1, whole=True, default=128, usual=128),
        "classifier": Bound(0, whole=True, default=0, usual=0),
        "replicate": Bound(0, whole=True, default=0, usual=0),
    }

    conditional = True
    """Whether the head that knows the classes takes part."""
    unconditional = True
    """Whether the head that knows none takes part, and the classifier."""

    def started(self, rows: Rows) -> State:
        """Weights from the seed and the replicate; the average generator is the generator."""
        state: State = {}
        generator, discriminator = self._networks(rows)
        starts = {"generator": generator.start, "discriminator": discriminator.start}
        for name, start in starts.items():

            def drawn(count: int, stream: str = name) -> Tensor:
                return normal(rows.seed, rows["replicate"].long(), (count,), stream=stream)[0]

            parameters, buffers = start(lambda count: DEVIATION * drawn(count), drawn)
            state[name], state[f"{name}.buffers"] = parameters[None], buffers[None]
            state[f"{name}.first"], state[f"{name}.second"] = (torch.zeros_like(parameters[None]) for _ in range(2))
        return {**state, "kept.generator": state["generator"].clone(), "kept.shape": torch.tensor([_shape(rows)])}

    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """The discriminator's steps, then one of the generator's."""
        generator, discriminator = self._networks(rows)
        state = {name: value.clone() if name.endswith("buffers") else value for name, value in state.items()}
        losses: dict[str, Tensor] = {}
        for draw in range(int(rows["discriminator_steps"])):
            self._load(generator, state, "generator", learns=False)
            self._load(discriminator, state, "discriminator", learns=True)
            loss, seen = self.discriminator_loss(generator.module, discriminator.module, rows, draw)
            made = rows.step * int(rows["discriminator_steps"]) + draw
            state |= _updated(state, "discriminator", discriminator.gradient(loss), made, rows)
            losses |= seen
        self._load(generator, state, "generator", learns=True)
        self._load(discriminator, state, "discriminator", learns=False)
        loss, seen = self.generator_loss(generator.module, discriminator.module, rows)
        state |= _updated(state, "generator", generator.gradient(loss), rows.step, rows)
        losses = {name: value.detach()[None] for name, value in {**losses, **seen}.items()}
        state |= self._averaged(state, losses, rows)
        found = (*losses.values(), state["generator"], state["discriminator"])
        finite = torch.stack([torch.isfinite(value).all() for value in found]).all()[None]
        return Turn(state, {}, None, None if finite.all() else finite, losses)

    def discriminator_loss(
        self, generator: Generator, discriminator: Discriminator, rows: Rows, draw: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one of a step's discriminator updates, and its terms; under fakes and images of their own."""
        key = self._key(rows, draw)
        with torch.no_grad():
            fake = self._fakes(generator, key, rows)
        real = self._reals(key, len(fake.y))
        (fake_c, real_c), (fake_u, real_u) = (
            both.chunk(2) for both in discriminator(torch.cat([fake.x, real.x]), torch.cat([fake.y, real.y]))
        )
        terms = dict[str, Tensor]()
        if self.conditional:
            terms["conditional"] = hinge(real_c, fake_c, self._counts(fake.y))
        if self.unconditional:
            mix = fresh_uniform(key, len(fake.y), stream="mix")[0].to(real.x)
            terms["unconditional"] = wasserstein(real_u, fake_u, float(rows["drift"]))
            terms["penalty"] = gradient_penalty(discriminator.critic, real.x, fake.x, mix)
        return _weighted(terms, rows), {f"discriminator.{name}": value for name, value in terms.items()}

    def generator_loss(
        self, generator: Generator, discriminator: Discriminator, rows: Rows
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a step's generator update, and its terms."""
        fake = self._fakes(generator, self._key(rows, -1), rows)
        fake_c, fake_u = discriminator(fake.x, fake.y)
        terms = dict[str, Tensor]()
        if self.conditional:
            terms["conditional"] = -mean_of(fake_c, self._counts(fake.y))
        if self.unconditional:
            terms["unconditional"] = -fake_u.mean() + float(rows["drift"]) * fake_u.square().mean()
            terms["classifier"] = functional.cross_entropy(self.logits(fake.x, rows), fake.y)
        return _weighted(terms, rows), {f"generator.{name}": value for name, value in terms.items()}

    def _classes(self, key: tuple[Tensor, ...], count: int) -> Tensor:
        """Classes of fakes: all that are made, each as often (class dilution)."""
        place = (fresh_uniform(key, count, stream="class")[0] * len(self.made)).long()
        return torch.tensor(self.made, device=place.device)[place]

    def _counts(self, y: Tensor) -> Tensor:
        """Which fakes are of classes that D_c has seen."""
        return torch.isin(y, torch.tensor(self.seen, device=y.device))

    def _fakes(self, generator: nn.Module, key: tuple[Tensor, ...], rows: Rows) -> Batch:
        count = int(rows["batch"])
        y = self._classes(key, count)
        return Batch(generator(self.latents(key, count, int(rows["latent"])), y), y)

    def _reals(self, key: tuple[Tensor, ...], count: int) -> Batch:
        index = (fresh_uniform(key, count, stream="image")[0].double() * len(self.images.y)).long()
        span = (self.images.high - self.images.low) / 2
        return Batch(((self.images.x[index] - self.images.low) / span - 1).to(self.dtype), self.images.y[index])

    def _key(self, rows: Rows, draw: int) -> tuple[Tensor, ...]:
        return rows.seed, rows["replicate"].long(), rows.step, torch.full_like(rows.step, draw)

    def _load(self, net: Flat[Generator] | Flat[Discriminator], state: State, name: str, learns: bool) -> None:
        net.load(state[name][0], state[f"{name}.buffers"][0], learns)

    def _averaged(self, state: State, losses: dict[str, Tensor], rows: Rows) -> State:
        """The average generator, and what the losses have been lately."""
        decay = float(rows["ema_decay"]) if int(rows.step) >= int(rows["ema_start"]) else 0.0
        memory = min(MEMORY, int(rows.step) / (int(rows.step) + 1))
        kept = {"kept.generator": torch.lerp(state["generator"], state["kept.generator"], decay)}
        for name, value in losses.items():
            kept[f"kept.{name}"] = torch.lerp(value, state.get(f"kept.{name}", value), memory)
        return kept

    def _networks(self, rows: Rows) -> tuple[Flat[Generator], Flat[Discriminator]]:
        return self._generators(*_shape(rows)), self._discriminators(int(rows["width"]))

    @cached_property
    def _discriminators(self) -> Callable[[int], Flat[Discriminator]]:
        return cache(self._discriminator)

    def _discriminator(self, width: int) -> Flat[Discriminator]:
        channels, size = self.images.x.shape[1:3]
        made = Discriminator(self.classes, size, channels, width, self.mixed)
        return Flat(made.to(self.images.x.device, self.dtype))


class Naive(ProbeGan):
    """The baseline NAIVE: D_u alone, and fakes of the target class only."""

    name = "probegan_naive"
    hyperparameters = {  # noqa: RUF012
        name: bound for name, bound in ProbeGan.hyperparameters.items() if name not in NO_CLASSES
    }
    refused = NO_CLASSES
    conditional = False
    makes = "target"


class Oracle(ProbeGan):
    """The upper bound ORACLE: the images show the target class, and all classes are seen."""

    name = "probegan_oracle"
    shows_target = True


class BigGan(ProbeGan):
    """A conditional GAN of the classes that are seen, which probes nothing: what BigGAN-AM searches in."""

    name = "biggan"
    hyperparameters = {  # noqa: RUF012
        name: bound for name, bound in ProbeGan.hyperparameters.items() if name not in NO_PROBE
    }
    refused = NO_PROBE
    unconditional = False
    makes = "seen"


def hinge(real: Tensor, fake: Tensor, counts: Tensor) -> Tensor:
    """D_c's loss: real images should score above 1, fakes below −1.

    Args:
        real, fake: scores [B].
        counts: which fakes count, bool [B]; of the real ones as many, so that both weigh the same.
    """
    return mean_of(functional.relu(1 - real), counts) + mean_of(functional.relu(1 + fake), counts)


def wasserstein(real: Tensor, fake: Tensor, drift: float) -> Tensor:
    """D_u's loss, and a weak pull of its scores to 0 (Karras et al., ICLR 2018)."""
    return fake.mean() - real.mean() + drift * (real.square().mean() + fake.square().mean())


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """How far D_u's gradient is from length 1 between images and fakes (Gulrajani et al., NeurIPS 2017).

    Args:
        mix: in (0, 1), one for each pair, [B].
    """
    between = torch.lerp(fake, real, mix[:, None, None, None]).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def mean_of(values: Tensor, counts: Tensor) -> Tensor:
    """The mean of those that count; 0 of none."""
    return torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)


def _weighted(terms: dict[str, Tensor], rows: Rows) -> Tensor:
    """The loss that terms make."""
    weight = {name: float(rows[f"{name}_weight"]) for name in terms}
    if "penalty" in weight:
        weight["penalty"] *= weight["unconditional"]
    return torch.stack([weight[name] * term for name, term in terms.items()]).sum()


def _shape(rows: Rows) -> tuple[int, int, int]:
    return int(rows["width"]), int(rows["latent"]), int(rows["embedding"])


def _updated(state: State, name: str, gradient: Tensor, made: Tensor, rows: Rows) -> State:
    """A network after a step of Adam."""
    first, second = state[f"{name}.first"], state[f"{name}.second"]
    betas = float(rows["beta1"]), float(rows["beta2"])
    lr = rows[f"{name}_lr"]
    parameters, first, second = adam_step(state[name], gradient[None], first, second, lr, made, betas)
    return {name: parameters, f"{name}.first": first, f"{name}.second": second}
