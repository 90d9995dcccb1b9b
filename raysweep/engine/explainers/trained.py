"""A generator that another sweep has trained: whether a method can search in it for a class that it was never shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from raysweep.errors import InputError
from raysweep.methods.probegan import ProbeGan
from raysweep.models.biggan import Generator
from raysweep.sources import locate

KEY = "method.trained"
SHAPE = ("width", "latent", "embedding")


def read_trained(name: str, folder: Path | None) -> dict[str, Tensor]:
    """All that such a file holds, a winner's as `raysweep best -o` writes it.

    Raises:
        InputError: there is no such file, or no generator in it.
    """
    path = locate(name, folder=folder, key=KEY)
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot be read: {error}", key=KEY, value=name) from None
    if not {"generator", "shape"} <= found.keys():
        rule = "must be the generator of a winner, as raysweep best -o writes it"
        raise InputError(rule, key=KEY, value=name)
    return found


def names_of(classes: Sequence[str]) -> np.ndarray:
    """Class names in their order as numbers, for a file that holds nothing else: JSON in UTF-8, uint8 [n]."""
    return np.frombuffer(json.dumps(list(classes), ensure_ascii=False).encode(), np.uint8)


def check_names(found: dict[str, Tensor], name: str, classes: Sequence[str]) -> None:
    """Whether the generator was trained on classes of these names in this order, as far as its file says.

    Args:
        found: what `read_trained` found.
        name: of the file.

    Raises:
        InputError: on others, of which an index would stand for another class.
    """
    said = found.get("class_names")
    if said is not None and said.tolist() != names_of(classes).tolist():
        others = bytes(said.to(torch.uint8).flatten().tolist()).decode(errors="replace")
        rule = f"must be a generator of the classes of the images in their order, {', '.join(classes)}"
        raise InputError(f"{rule}; this one is of {others}", key=KEY, value=name)


def check_unseen(found: dict[str, Tensor], name: str, classes: Sequence[str], target: int) -> None:
    """Whether the file says of every class if its generator was shown it, and of the target that it was not.

    Args:
        found: what `read_trained` found.
        name: of the file.
        target: an index of `classes`.

    Raises:
        InputError: it does not.
    """
    unseen = found.get("unseen")
    if unseen is None:
        rule = "must say which classes its generator was never shown, and has no array `unseen`"
        raise InputError(rule, key=KEY, value=name, suggestion="Let raysweep best NAME -o best.yaml write it anew")
    if unseen.dtype != torch.bool or unseen.shape != (len(classes),):
        rule = f"must say for each of the {len(classes)} classes whether its generator was never shown it"
        hint = "Give the winner of a sweep of biggan, on the same classes"
        raise InputError(rule, key=KEY, value=name, suggestion=hint)
    if not unseen[target]:
        others = [one for one, never in zip(classes, unseen.tolist(), strict=True) if never]
        told = f"was not shown {', '.join(others)}" if others else "was shown every class"
        rule = f"must be a generator that was never shown the target, '{classes[target]}'; this one {told}"
        hint = "Train one with the same target, or search for a class that this one was not shown"
        raise InputError(rule, key=KEY, value=name, suggestion=hint)


def check_generator(found: dict[str, Tensor], classes: int, image: tuple[int, ...]) -> None:
    """Whether the file's numbers are a generator of so many classes of such images.

    Args:
        found: what `read_trained` found: `generator` [1, P] and `shape` [1, 3], its width, latent and embedding.
        image: [channels, size, size].

    Raises:
        InputError: the rule that they break.
    """
    generator, shape = found["generator"], found["shape"]
    if shape.is_floating_point() or shape.dtype == torch.bool or shape.shape != (1, len(SHAPE)):
        rule = f"`shape` must be [1, 3], 3 whole numbers: {', '.join(SHAPE)}"
        raise InputError(rule, key=KEY, value=_kind(shape))
    for part, value in zip(SHAPE, shape[0].tolist(), strict=True):
        bound = ProbeGan.hyperparameters[part]
        if not bound.holds(value):
            raise InputError(f"the {part} in `shape` {bound}", key=KEY, value=value)
    if generator.dtype not in (torch.float32, torch.float64) or generator.dim() != 2 or len(generator) != 1:
        raise InputError("`generator` must be [1, P], float32 or float64", key=KEY, value=_kind(generator))
    width, latent, embedding = shape[0].tolist()
    count = generator.numel()
    if max(width**2, latent, embedding) > count or _numbers(classes, image, width, latent, embedding) != count:
        made = f"{classes} classes and {' × '.join(map(str, image))} images"
        sized = f"width {width}, latent {latent} and embedding {embedding}"
        rule = f"`generator` must hold as many numbers as a generator of {made} with {sized} has"
        raise InputError(rule, key=KEY, value=count, suggestion="Give images like those that it was trained on")
    broken = int((~torch.isfinite(generator)).sum())
    if broken:
        raise InputError("`generator` must be finite", key=KEY, value=f"{broken} of {count} are not")


def check_embedding(found: dict[str, Tensor], name: str) -> None:
    """Whether the file holds an embedding [1, e] that a search has found in its generator; that has been checked.

    Raises:
        InputError: it does not.
    """
    wanted = (1, int(found["shape"][0, 2]))
    embedding = found.get("embedding")
    if embedding is None or embedding.shape != wanted or not torch.isfinite(embedding).all():
        rule = f"must hold the `embedding` {list(wanted)} that biggan_am has found, finite"
        raise InputError(rule, key=KEY, value=name, suggestion="Let raysweep best NAME -o best.yaml write it")


def _numbers(classes: int, image: tuple[int, ...], width: int, latent: int, embedding: int) -> int:
    """The parameters of a generator, counted without making them."""
    with torch.device("meta"):
        made = Generator(classes, image[1], image[0], width, latent, embedding)
    return sum(prod(one.shape) for one in made.parameters())


def _kind(array: Tensor) -> str:
    return f"{str(array.dtype).removeprefix('torch.')} {list(array.shape)}"
