"""Components of a sample: the parts that a mask keeps or removes, each as a whole.

A grouping labels every element of a sample with its component; a mask over components [B, C] is spread over the
elements by it. Groupings differ between samples where the parts do (the buildings of a city), else all share one. An
element that belongs to no component says which of the two it is: always kept, or always filled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from raysweep.errors import InputError

KEPT, FILLED = -2, -3
"""Labels of elements without a component: those that every mask keeps, and those that every mask leaves to the fill.

-1, which often stands for nothing, is neither, so that a gap in a grouping is not taken for either.
"""


class Components:
    """Which component each element belongs to.

    Args:
        labels: int64, [*shape] for all samples or [K, *shape] for each of K; from 0 to C − 1, or KEPT or FILLED. A
            sample need not have all components: those that others have are absent from it, and do not count.
        shape: of one sample.
        key: the sweep file's key, for errors.

    Raises:
        InputError: labels of another shape, an element without a label, a sample without a component, or a component
            number that no element has.
    """

    def __init__(self, labels: Tensor, shape: tuple[int, ...], *, key: str = "method.components") -> None:
        self.own = labels.dim() == len(shape) + 1
        """Whether each sample has labels of its own."""
        if tuple(labels.shape[self.own :]) != shape:
            rule = f"must label every element of a sample, so be of its shape {list(shape)}"
            raise InputError(rule, key=key, value=list(labels.shape))
        self.shape, labels = shape, labels.reshape(len(labels) if self.own else 1, -1)
        missing = int(((labels < 0) & (labels != KEPT) & (labels != FILLED)).sum())
        if missing:
            rule = f"must cover the whole input: every element needs a component from 0 up, or {KEPT} to be always kept"
            raise InputError(rule, key=key, value=f"{missing} of {labels.numel()} elements have none")
        empty = (labels < 0).all(dim=1)
        if bool(empty.any()):
            rule = "must leave a mask something to choose from: each sample needs a component"
            raise InputError(rule, key=key, value=f"{int(empty.sum())} of {len(empty)} samples have none")
        self.count = int(labels.max()) + 1
        self.labels = torch.where(labels < 0, self.count + KEPT - labels, labels)
        """int64 [1 or K, elements]: the place of each element's s among those of the components, 1 and 0."""
        found = torch.zeros(len(labels), self.count + 2, dtype=torch.bool).scatter_(1, self.labels, True)
        self._present = found[:, : self.count]
        if not self.own and not bool(self._present.all()):
            rule = f"must number the components from 0 to {self.count - 1} without a gap"
            gap = int(self._present[0].long().argmin())
            raise InputError(rule, key=key, value=f"no element belongs to component {gap}")

    def to(self, device: torch.device) -> Components:
        """The same on a device."""
        moved = copy.copy(self)
        moved.labels, moved._present = self.labels.to(device), self._present.to(device)
        return moved

    @property
    def most(self) -> int:
        """How many components the sample with the most of them has."""
        return int(self._present.sum(dim=1).max())

    def spread(self, mask: Tensor, sample: Tensor, kept: float = 1.0) -> Tensor:
        """A mask over components [B, C] as one over elements [B, *shape].

        Args:
            sample: index of each row's sample, int64 [B].
            kept: what elements have that are always kept; those that are always filled have 0.
        """
        labels = self.labels[sample] if self.own else self.labels.expand(len(mask), -1)
        fixed = mask.new_tensor([kept, 0.0]).expand(len(mask), 2)
        return torch.cat([mask, fixed], dim=1).gather(1, labels).view(-1, *self.shape)

    def gather(self, heat: Tensor, sample: Tensor) -> Tensor:
        """What elements [B, *shape] are worth, or places with all their channels [B, 1, ...], summed over each
        component, [B, C].

        Args:
            sample: index of each row's sample, int64 [B].
        """
        labels = self.labels[sample] if self.own else self.labels.expand(len(heat), -1)
        sums = heat.new_zeros(len(heat), self.count + 2)
        return sums.scatter_add_(1, labels, heat.expand(-1, *self.shape).flatten(1))[:, : self.count]

    def share(self, mask: Tensor, sample: Tensor) -> Tensor:
        """‖s‖₁ over the number of components [B]: how much of the samples [B] masks [B, C] keep."""
        present = self.present(sample).to(mask)
        return (mask * present).sum(dim=1) / present.sum(dim=1)

    def present(self, sample: Tensor) -> Tensor:
        """Which components the samples [B] have at all, bool [B, C]; of a shared grouping all."""
        return self._present[sample] if self.own else self._present.expand(len(sample), -1)


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
