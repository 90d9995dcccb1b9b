"""BigGAN-AM: the embedding of a class that a conditional GAN was never shown, found through a classifier.

    ê = argmin_e E_z[−log p(y*|G(z, e))],   |e| ≤ 2

Adam over e alone, from the mean of the embeddings that the generator has, near which it starts; ten latents at a time,
new ones every 20 steps. Li, Zhou, Nguyen et al., *A cost-effective method for improving and re-purposing large,
pre-trained GANs by fine-tuning their class-embeddings*, ACCV 2020; constants as in ProbeGAN's code (`biggan_am.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.methods.adam import adam_step
from raysweep.methods.gan import GanMethod, RealImages
from raysweep.methods.method import Bound, Rows, State, Turn
from raysweep.methods.noise import normal
from raysweep.models.biggan import Generator


class BigGanAm(GanMethod):
    """One embedding a row.

    Args:
        images, classifiers, target, dtype: see `GanMethod`; of the images only shape and classes matter.
        trained: what a training has kept: `generator` [1, P] and its `shape` [1, 3].
    """

    name = "biggan_am"
    makes = "seen"
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True, default=0.1),
        "weight_decay": Bound(0, default=0.9),
        "clamp": Bound(0, open=True, default=2.0),
        "radius": Bound(0, default=0.1),
        "samples": Bound(1, whole=True, default=10),
        "period": Bound(1, whole=True, default=20),
        "classifier": Bound(0, whole=True, default=0, usual=0),
        "replicate": Bound(0, whole=True, default=0, usual=0),
    }

    def __init__(
        self,
        images: RealImages,
        classifiers: Sequence[nn.Module],
        target: int,
        dtype: torch.dtype = torch.float32,
        *,
        trained: Mapping[str, Tensor],
    ) -> None:
        super().__init__(images, classifiers, target, dtype)
        self.trained = dict(trained)
        self.generator = self.looked_at(self.trained)

    def started(self, rows: Rows) -> State:
        """Near the mean of the embeddings of the classes that are seen."""
        table = self.generator.shared.weight.detach()[self.seen]
        away = normal(rows.seed, rows["replicate"].long(), (table.shape[1],), stream="embedding").to(table)
        embedding = table.mean(dim=0) + rows["radius"].to(table)[:, None] * away
        kept = {f"kept.{name}": value for name, value in self.trained.items()}
        moments = {name: torch.zeros_like(embedding) for name in ("first", "second")}
        return {"embedding": embedding, **moments, **kept, "kept.embedding": embedding.clone()}

    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """One step of Adam, its weight decay part of the gradient."""
        embedding = state["embedding"].detach().requires_grad_()
        loss = self.loss(embedding, rows)
        (gradient,) = torch.autograd.grad(loss, embedding)
        with torch.no_grad():
            gradient = gradient + rows["weight_decay"].to(gradient)[:, None] * embedding
            embedding, first, second = adam_step(
                embedding, gradient, state["first"], state["second"], rows["lr"], rows.step
            )
            seen = {"generator.classifier": loss.detach()[None]}
            finite = (torch.isfinite(loss) & torch.isfinite(embedding).all())[None]
            kept = {"kept.embedding": _within(embedding, rows), "kept.generator.classifier": loss.detach()[None]}
        stepped = {**state, "embedding": embedding, "first": first, "second": second, **kept}
        return Turn(stepped, {}, None, None if finite.all() else finite, seen)

    def loss(self, embedding: Tensor, rows: Rows) -> Tensor:
        """−log p(y*|G(z, e)), mean over some latents."""
        count, latent = int(rows["samples"]), self.generator.parts * self.generator.chunk
        key = (rows.seed, rows["replicate"].long(), rows.step // rows["period"].long())
        z = self.latents(key, count, latent)
        images = self.generator.painted(z, _within(embedding, rows).expand(count, -1))
        return functional.cross_entropy(self.logits(images, rows), torch.full((count,), self.target, device=z.device))

    def embedded(self, generator: Generator, kept: dict[str, Tensor], y: Tensor) -> Tensor:
        """What was found, of the target; of the other classes what the generator has."""
        found = kept["embedding"].to(generator.shared.weight)
        return torch.where((y == self.target)[:, None], found, generator.shared(y))


def _within(embedding: Tensor, rows: Rows) -> Tensor:
    limit = rows["clamp"].to(embedding)[:, None]
    return torch.minimum(torch.maximum(embedding, -limit), limit)
