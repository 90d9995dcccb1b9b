"""ProbeGAN: what a classifier remembers of a class that the images never show.

A generator G(z, y) of all classes learns to look from images of all but the target class y*, and what y* is from the
frozen classifier alone. The discriminator's head D_c knows the classes that are seen; its head D_u knows none, and sees
fakes of all classes (class dilution), so that fakes of y* must be like images too.

    D: hinge(D_c; seen classes) + E[D_u(fake)] − E[D_u(real)] + λ_gp E[(‖∇D_u(x̂)‖ − 1)²] + drift E[D_u²]
    G: −E[D_c(fake); seen classes] − E[D_u(fake)] + λ_g E[−log p(y|G(z, y))]

Zhang, Zhou, Zhang, Cox, Chang, *An adversarial framework for generating unseen images by activation maximization*,
AAAI 2022; constants as in the authors' code for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.methods.adam import adam_step
from raysweep.methods.flat import Flat
from raysweep.methods.method import Bound, Method, Rows, State, Turn
from raysweep.methods.noise import fresh_normal, fresh_uniform, normal
from raysweep.models.biggan import DEVIATION, Discriminator, Generator

STANDING, STANDING_BATCH = 16, 64
"""Batches that the generator's batch statistics are the mean of, when it is looked at, and images of each."""
MEMORY = 0.99
"""How slowly the losses that are reported forget."""


@dataclass(frozen=True)
class RealImages:
    """What the discriminator compares with.

    Args:
        x: [N, channels, size, size] in [low, high].
        y: class of each, int64 [N].
        classes: how many there are.
        low, high: what black and white are.
    """

    x: Tensor
    y: Tensor
    classes: int
    low: float = 0.0
    high: float = 1.0

    def without(self, target: int) -> RealImages:
        """The images of all other classes."""
        kept = self.y != target
        return RealImages(self.x[kept], self.y[kept], self.classes, self.low, self.high)

    def to(self, device: torch.device) -> RealImages:
        """The same images on a device."""
        return RealImages(self.x.to(device), self.y.to(device), self.classes, self.low, self.high)


@dataclass(frozen=True)
class Batch:
    """Images in [-1, 1] and their classes."""

    x: Tensor
    y: Tensor


class ProbeGan(Method):
    """Generator and discriminator, trained from nothing; a row is a whole training and a step one of the generator's.

    Args:
        images: real ones; those of the target class are left out.
        classifiers: what is probed, images as they are -> logits [B, classes]; `classifier` says which.
        target: the class y*.
        dtype: of the networks.
    """

    name = "probegan"
    trains = True
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

    def __init__(
        self,
        images: RealImages,
        classifiers: Sequence[nn.Module],
        target: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.images, self.target, self.dtype = self._shown(images, target), target, dtype
        self.classifiers, self.classes = list(classifiers), images.classes
        self.seen = [label for label in range(self.classes) if self._is_seen(label)]
        self._networks = cache(self._made)

    def begin(self, rows: Rows) -> State:
        """Weights from the seed and the replicate; the average generator is the generator."""
        each = [self._begun(_row(rows, index)) for index in range(len(rows))]
        return {name: torch.cat([one[name] for one in each]) for name in each[0]}

    def _begun(self, rows: Rows) -> State:
        state: State = {}
        generator, discriminator = self._networks(*_shape(rows))
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
        generator, discriminator = self._networks(*_shape(rows))
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
        finite = torch.stack([torch.isfinite(value) for value in losses.values()]).all(dim=0)
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
        mix = fresh_uniform(key, len(fake.y), stream="mix")[0].to(real.x)
        terms = {
            "conditional": hinge(real_c, fake_c, self._counts(fake.y)),
            "unconditional": wasserstein(real_u, fake_u, float(rows["drift"])),
            "penalty": gradient_penalty(discriminator.critic, real.x, fake.x, mix),
        }
        penalty, weight = float(rows["penalty_weight"]), float(rows["unconditional_weight"])
        loss = weight * (terms["unconditional"] + penalty * terms["penalty"])
        if self.conditional:
            loss = loss + float(rows["conditional_weight"]) * terms["conditional"]
        return loss, {f"discriminator.{name}": value for name, value in terms.items()}

    def generator_loss(
        self, generator: Generator, discriminator: Discriminator, rows: Rows
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a step's generator update, and its terms."""
        fake = self._fakes(generator, self._key(rows, -1), rows)
        fake_c, fake_u = discriminator(fake.x, fake.y)
        logits = self.classifiers[int(rows["classifier"])](self._as_data(fake.x))
        terms = {
            "conditional": -mean_of(fake_c, self._counts(fake.y)),
            "unconditional": -fake_u.mean() + float(rows["drift"]) * fake_u.square().mean(),
            "classifier": functional.cross_entropy(logits.to(fake_u.dtype), fake.y),
        }
        loss = float(rows["unconditional_weight"]) * terms["unconditional"]
        loss = loss + float(rows["classifier_weight"]) * terms["classifier"]
        if self.conditional:
            loss = loss + float(rows["conditional_weight"]) * terms["conditional"]
        return loss, {f"generator.{name}": value for name, value in terms.items()}

    def looked_at(self, kept: dict[str, Tensor]) -> Generator:
        """The average generator, ready to make images each for itself: its batch statistics are those of all classes.

        Args:
            kept: of one row.
        """
        (shape,) = kept["shape"].tolist()
        flat, _ = self._networks(*shape)
        buffers = flat.start(torch.zeros, torch.ones)[1]
        flat.load(kept["generator"][0].clone(), buffers, learns=False)
        generator = flat.module
        with torch.no_grad(), _cumulative(generator):
            for index in range(STANDING):
                key = tuple(torch.tensor([one], device=buffers.device) for one in (index, shape[1]))
                z = self._latents(key, STANDING_BATCH, shape[1])
                y = torch.arange(STANDING_BATCH, device=z.device) % self.classes
                generator(z, y)
        return generator.eval()

    def images_of(self, generator: Generator, seed: int, label: int, examples: Tensor) -> Tensor:
        """Images of a class in the data's own range, one an example: the same latents for every generator.

        Args:
            examples: int64 [B].
        """
        latent = generator.parts * generator.chunk
        z = fresh_normal((torch.full_like(examples, seed), examples), latent, stream="look").to(self.dtype)
        return self._as_data(generator(z, torch.full_like(examples, label)))

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """An image of the target class."""
        return self.images_of(self.looked_at(kept), 0, self.target, torch.zeros(1, dtype=torch.int64))

    conditional = True
    """Whether the head that knows the classes takes part."""

    def _shown(self, images: RealImages, target: int) -> RealImages:
        return images.without(target)

    def _is_seen(self, label: int) -> bool:
        return label != self.target

    def _classes(self, key: tuple[Tensor, ...], count: int) -> Tensor:
        """Classes of fakes: any, each as often (class dilution)."""
        return (fresh_uniform(key, count, stream="class")[0] * self.classes).long()

    def _counts(self, y: Tensor) -> Tensor:
        """Which fakes are of classes that D_c has seen."""
        return torch.isin(y, torch.tensor(self.seen, device=y.device))

    def _fakes(self, generator: nn.Module, key: tuple[Tensor, ...], rows: Rows) -> Batch:
        count = int(rows["batch"])
        y = self._classes(key, count)
        return Batch(generator(self._latents(key, count, int(rows["latent"])), y), y)

    def _reals(self, key: tuple[Tensor, ...], count: int) -> Batch:
        index = (fresh_uniform(key, count, stream="image")[0].double() * len(self.images.y)).long()
        span = (self.images.high - self.images.low) / 2
        return Batch(((self.images.x[index] - self.images.low) / span - 1).to(self.dtype), self.images.y[index])

    def _latents(self, key: tuple[Tensor, ...], count: int, latent: int) -> Tensor:
        return fresh_normal(key, count * latent, stream="latent").view(count, latent).to(self.dtype)

    def _as_data(self, x: Tensor) -> Tensor:
        return self.images.low + (x + 1) * ((self.images.high - self.images.low) / 2)

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

    def _made(self, width: int, latent: int, embedding: int) -> tuple[Flat[Generator], Flat[Discriminator]]:
        channels, size = self.images.x.shape[1:3]
        generator = Generator(self.classes, size, channels, width, latent, embedding)
        discriminator = Discriminator(self.classes, size, channels, width)
        device = self.images.x.device
        return Flat(generator.to(device, self.dtype)), Flat(discriminator.to(device, self.dtype))


class Naive(ProbeGan):
    """The baseline NAIVE: D_u alone, and fakes of the target class only."""

    name = "probegan_naive"
    conditional = False

    def _classes(self, key: tuple[Tensor, ...], count: int) -> Tensor:
        return torch.full((count,), self.target, device=key[0].device)


class Oracle(ProbeGan):
    """The upper bound ORACLE: the images show the target class, and all classes are seen."""

    name = "probegan_oracle"

    def _shown(self, images: RealImages, target: int) -> RealImages:
        return images

    def _is_seen(self, label: int) -> bool:
        return True


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


@contextmanager
def _cumulative(generator: nn.Module) -> Iterator[None]:
    """Batch statistics begin anew, and each batch counts as much as any other."""
    norms = [one for one in generator.modules() if isinstance(one, nn.BatchNorm2d)]
    generator.train()
    for one in norms:
        one.reset_running_stats()
        one.momentum = None
    yield
    for one in norms:
        one.momentum = 0.1


def _row(rows: Rows, index: int) -> Rows:
    """One of them."""
    seed, example, step, draw = (part[index : index + 1] for part in rows.key)
    return Rows(seed, example, step, draw, {name: value[index : index + 1] for name, value in rows.values.items()})


def _shape(rows: Rows) -> tuple[int, int, int]:
    return int(rows["width"]), int(rows["latent"]), int(rows["embedding"])


def _updated(state: State, name: str, gradient: Tensor, made: Tensor, rows: Rows) -> State:
    """A network after a step of Adam."""
    first, second = state[f"{name}.first"], state[f"{name}.second"]
    betas = float(rows["beta1"]), float(rows["beta2"])
    lr = rows[f"{name}_lr"]
    parameters, first, second = adam_step(state[name], gradient[None], first, second, lr, made, betas)
    return {name: parameters, f"{name}.first": first, f"{name}.second": second}
