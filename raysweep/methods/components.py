"""Components of a sample: the parts that a mask keeps or removes, each as a whole.

A grouping labels every element of a sample with its component; a mask over components [B, C] is spread over the
elements by it. Groupings differ between samples where the parts do (the buildings of a city), else all share one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from raysweep.errors import InputError


class Components:
    """Which component each element belongs to.

    Args:
        labels: int64, [*shape] for all samples or [K, *shape] for each of K; from 0 to C − 1.
        shape: of one sample.
        key: the sweep file's key, for errors.

    Raises:
        InputError: labels of another shape, an element without a component (below 0), or a component number that no
            element has.
    """

    def __init__(self, labels: Tensor, shape: tuple[int, ...], *, key: str = "method.components") -> None:
        self.own = labels.dim() == len(shape) + 1
        """Whether each sample has labels of its own."""
        if tuple(labels.shape[self.own :]) != shape:
            rule = f"must label every element of a sample, so be of its shape {list(shape)}"
            raise InputError(rule, key=key, value=list(labels.shape))
        self.shape, self.labels = shape, labels.reshape(len(labels) if self.own else 1, -1)
        missing = int((self.labels < 0).sum())
        if missing:
            rule = "must cover the whole input: every element needs a component from 0 up"
            raise InputError(rule, key=key, value=f"{missing} of {self.labels.numel()} elements have none")
        self.count = int(self.labels.max()) + 1
        used = torch.bincount(self.labels.flatten(), minlength=self.count)
        if not self.own and int(used.min()) == 0:
            rule = f"must number the components from 0 to {self.count - 1} without a gap"
            raise InputError(rule, key=key, value=f"no element belongs to component {int(used.argmin())}")

    def to(self, device: torch.device) -> Components:
        """The same on a device."""
        moved = copy.copy(self)
        moved.labels = self.labels.to(device)
        return moved

    def spread(self, mask: Tensor, sample: Tensor) -> Tensor:
        """A mask over components [B, C] as one over elements [B, *shape].

        Args:
            sample: index of each row's sample, int64 [B].
        """
        labels = self.labels[sample] if self.own else self.labels.expand(len(mask), -1)
        return mask.gather(1, labels).view(-1, *self.shape)

    def share(self, mask: Tensor, sample: Tensor) -> Tensor:
        """‖s‖₁ over the number of components [B]: how much of the samples [B] masks [B, C] keep."""
        present = self.present(sample).to(mask)
        return (mask * present).sum(dim=1) / present.sum(dim=1)

    def present(self, sample: Tensor) -> Tensor:
        """Which components the samples [B] have at all, bool [B, C]; of a shared grouping all."""
        if not self.own:
            return torch.ones((len(sample), self.count), dtype=torch.bool, device=self.labels.device)
        found = torch.zeros((len(sample), self.count), dtype=torch.bool, device=self.labels.device)
        return found.scatter_(1, self.labels[sample], True)


def grouping(name: str, shape: tuple[int, ...], patch: int) -> Tensor:
    """The labels [*shape] of a grouping by its name.

    Raises:
        InputError: pixels or patches of a sample that is no map.
    """
    if name in ("pixels", "patches") and len(shape) < 2:
        rule = f"must be elements or channels: a sample of shape {list(shape)} has no {name}"
        raise InputError(rule, key="method.components", value=name)
    return patches(shape, patch) if name == "patches" else GROUPINGS[name](shape)


def elements(shape: tuple[int, ...]) -> Tensor:
    """Every number for itself: of a spectrum [2, F], each frequency's magnitude and each frequency's phase."""
    return torch.arange(int(torch.tensor(shape).prod())).view(shape)


def channels(shape: tuple[int, ...]) -> Tensor:
    """The first axis: of a spectrum [2, F], the whole magnitude and the whole phase."""
    return torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1)).expand(shape)


def pixels(shape: tuple[int, ...]) -> Tensor:
    """Each place of a map [C, H, W] with all its channels."""
    return patches(shape, 1)


def patches(shape: tuple[int, ...], size: int) -> Tensor:
    """Squares of `size` × `size` places of a map [C, H, W], row by row; those at the far edges may be narrower."""
    height, width = shape[-2:]
    down, across = torch.arange(height) // size, torch.arange(width) // size
    return (down[:, None] * (int(across[-1]) + 1) + across).expand(shape)


GROUPINGS: dict[str, Callable[[tuple[int, ...]], Tensor]] = {
    "pixels": pixels,
    "elements": elements,
    "channels": channels,
}
