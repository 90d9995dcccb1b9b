"""Small real models and real data that ship with the package, named `zoo://collection/name`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from raysweep.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

COLLECTIONS = ("cutouts", "fashion", "notes", "radio", "vocal", "voices", "waterbirds")
SCHEME = "zoo://"

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class ModelEntry:
    """A network and its weights: a generator, a classifier, or an inpainter (`zoo.inpainting` says what it takes).

    Args:
        build: makes the module without weights.
        weights: its safetensors file.
        latent: length of a generator's latent vector; None for other networks.
        units: names of a classifier's output units; None for other networks.
        media: how what the network reads or makes is shown, one of `data.dataset.MEDIA`.
    """

    build: Callable[[], nn.Module]
    weights: Path
    latent: int | None = None
    units: tuple[str, ...] | None = None
    media: str = "image"


@dataclass(frozen=True)
class DataEntry:
    """Real data: an .npz with `x` [N, ...] and `y` [N]; `classes[y]` are the names."""

    file: Path
    classes: tuple[str, ...]
    media: str = "image"


def resolve_model(uri: str) -> ModelEntry:
    """The zoo model that `uri` names; an unknown name raises InputError with the nearest one."""
    collection, name = _split(uri)
    models: dict[str, ModelEntry] = importlib.import_module(f"raysweep.zoo.{collection}").MODELS
    return _pick(models, name, uri, "model")


def resolve_data(uri: str) -> DataEntry:
    """The zoo data set that `uri` names; an unknown name raises InputError with the nearest one."""
    collection, name = _split(uri)
    data: dict[str, DataEntry] = importlib.import_module(f"raysweep.zoo.{collection}").DATA
    return _pick(data, name, uri, "data set")


def _split(uri: str) -> tuple[str, str]:
    collection, _, name = uri.removeprefix(SCHEME).partition("/")
    if collection not in COLLECTIONS:
        raise InputError("the zoo has no such collection", value=uri, suggestion=did_you_mean(collection, COLLECTIONS))
    return collection, name


def _pick(entries: dict[str, Entry], name: str, uri: str, kind: str) -> Entry:
    if name not in entries:
        raise InputError(f"the zoo has no such {kind}", value=uri, suggestion=did_you_mean(name, entries))
    return entries[name]
