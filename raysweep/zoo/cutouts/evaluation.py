"""What the recipe measures of a network and of where it looks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.cutouts.boxes import ENOUGH, overlap
from raysweep.zoo.cutouts.composites import Composites
from raysweep.zoo.cutouts.networks import CLASSES, Classifier

THRESHOLDS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
"""Of a map's mean: from where on it is inside of the box."""


@torch.no_grad()
def scores(net: nn.Module, x: Tensor, size: int = 50) -> Tensor:
    """Logits [N, classes] of images [N, 3, 112, 112] uint8."""
    return torch.cat([net(part.float() / 255) for part in x.split(size)])


def right(logits: Tensor, y: Tensor) -> float:
    """The share whose highest logit is their class."""
    return float((logits.argmax(1) == y).double().mean())


def accuracies(net: nn.Module, images: Composites) -> list[float]:
    """The share of each class's images that a network names rightly."""
    found = scores(net, images.x).argmax(1) == images.y
    return [float(found[images.y == label].double().mean()) for label in range(len(CLASSES))]


@torch.no_grad()
def activation(net: Classifier, images: Composites, size: int = 50) -> Tensor:
    """Class activation maps of the images' classes (Zhou et al., 2016), without what is negative, [N, 112, 112]."""
    found = []
    for x, y in zip(images.x.split(size), images.y.split(size), strict=True):
        maps = net.features(net.standardise(x.float() / 255))
        found.append(torch.einsum("bkhw,bk->bhw", maps, net.head.weight[y]))
    whole = torch.cat(found).clamp(min=0)[:, None]
    return functional.interpolate(whole, size=images.x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def pointing(heat: Tensor, boxes: Tensor) -> float:
    """The share of maps [N, H, W] that are highest within the box."""
    place = heat.flatten(1).argmax(1)
    at = torch.stack([place % heat.shape[2], place // heat.shape[2]], 1)
    return float(((at >= boxes[:, :2]) & (at < boxes[:, 2:])).all(1).double().mean())


def localisation_error(heat: Tensor, boxes: Tensor, threshold: float) -> float:
    """The share of maps [N, H, W] whose tight box, above so many times their mean, does not find the true one."""
    inside = heat > threshold * heat.mean((1, 2), keepdim=True)
    return float((overlap(torch.stack([tight(one) for one in inside]), boxes) < ENOUGH).double().mean())


def tight(inside: Tensor) -> Tensor:
    """The box [4] of what is true in a map [H, W]; one of no area where nothing is."""
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    if not len(rows):
        return torch.zeros(4, dtype=torch.int64)
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def looks(net: Classifier, tune: Composites, test: Composites) -> dict[str, Any]:
    """How well class activation maps show where a thing is; the threshold is the best one of the tune half."""
    heats = activation(net, tune), activation(net, test)
    errors = {threshold: localisation_error(heats[0], tune.boxes, threshold) for threshold in THRESHOLDS}
    best = min(errors, key=errors.__getitem__)
    error = {"tune": errors[best], "test": localisation_error(heats[1], test.boxes, best)}
    points = {"tune": pointing(heats[0], tune.boxes), "test": pointing(heats[1], test.boxes)}
    return {"threshold": best, "error": error, "pointing": points}
