"""`load_model`: whatever a sweep file's `models:` names, as a frozen network with a fingerprint."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.inception import InceptionFID, is_inception_file
from raysweep.models.model import Model, ModelSource, fingerprint, freeze, source_of
from raysweep.models.torchscript import SUFFIXES, TRUST, load_torchscript
from raysweep.models.weights import load_weights, refuse_pickled
from raysweep.sources import call, is_callable_name, is_module, locate
from raysweep.zoo import SCHEME, resolve_model

KINDS = "zoo://collection/name, module:callable (with weights: file.safetensors), or a TorchScript file"


def load_model(source: ModelSource, *, key: str, folder: Path | None = None, generator: bool = False) -> Model:
    """Load the network that `source` names, frozen, in eval mode, on the CPU.

    Args:
        source: where it comes from.
        key: the sweep file's key (`models.generator`), for errors.
        folder: the sweep file's folder: relative paths and modules are found from there.
        generator: it will be fed latents, so the length of its latent must be known.

    Raises:
        InputError: no such network, weights that do not fit, or a file that must not be opened.
    """
    if source.trust not in (None, TRUST):
        raise InputError(f"trust must be {TRUST} or left out", key=f"{key}.trust", value=source.trust)
    if source.latent is not None and source.latent < 1:
        raise InputError("latent must be at least 1", key=f"{key}.latent", value=source.latent)
    _refuse_dotted(source, key, folder)
    _refuse_unused(source, key, generator)
    if source.source.startswith(SCHEME):
        model = _from_zoo(source, key, generator)
    elif is_callable_name(source.source):
        module = _built(source, key, folder)
        model = _wrap(module, source, _origin(module, source, folder))
    else:
        module = _from_file(source, key, folder)
        model = _wrap(module, source, [locate(source.source, folder=folder, key=key).read_bytes()])
    if generator and model.latent is None:
        model = replace(model, latent=_infer_latent(model.module, key))
    return model


def _refuse_dotted(source: ModelSource, key: str, folder: Path | None) -> None:
    """`module.callable`, as other tools write it, would be taken for a file, with which weights have no use."""
    place, (module, _, name) = folder or Path.cwd(), source.source.rpartition(".")
    file = (place / source.source).exists() or f".{name}" in (*SUFFIXES, ".safetensors")
    if is_callable_name(f"{module}:{name}") and not file and is_module(module, place):
        rule, hint = "must be module:callable, or a file that exists", f"Write {module}:{name}"
        raise InputError(rule, key=key, value=source.source, suggestion=hint)


def _refuse_unused(source: ModelSource, key: str, generator: bool) -> None:
    """Keys that would change nothing: only what is built takes weights and args, only a file is trusted."""
    built, zoo = is_callable_name(source.source), source.source.startswith(SCHEME)
    takes = {"weights": built, "args": built, "trust": not (built or zoo), "latent": generator}
    for part, taken in takes.items():
        if getattr(source, part) and not taken:
            kind = "a network that takes no latent" if part == "latent" else source.source
            value = getattr(source, part)
            raise InputError(f"has no use with {kind}", key=f"{key}.{part}", value=value, suggestion="Leave it out")


def _from_zoo(source: ModelSource, key: str, generator: bool) -> Model:
    try:
        entry = resolve_model(source.source)
    except InputError as error:
        error.key = key
        raise
    if generator and entry.latent is None:
        raise InputError("must be a generator, and this network takes no latent", key=key, value=source.source)
    if source.latent not in (None, entry.latent):
        raise InputError(f"the latent of {source.source} is {entry.latent}", key=f"{key}.latent", value=source.latent)
    module = entry.build()
    load_weights(module, locate(str(entry.weights), folder=None, key=key), key=key)
    freeze(module)
    return Model(module, fingerprint(module), entry.latent, entry.units, entry.media)


def _built(source: ModelSource, key: str, folder: Path | None) -> nn.Module:
    """What the user's callable builds; the seed is fixed, so that weights it leaves random are alike on every host."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = call(source.source, folder=folder, key=key, args=source.args)
    if not isinstance(module, nn.Module):
        raise InputError(
            "must return a torch.nn.Module", key=key, value=f"{source.source} returned a {type(module).__name__}"
        )
    if source.weights is not None:
        weights_key = f"{key}.weights"
        load_weights(module, locate(source.weights, folder=folder, key=weights_key), key=weights_key)
    return module


def _from_file(source: ModelSource, key: str, folder: Path | None) -> nn.Module:
    path = locate(source.source, folder=folder, key=key)
    if path.suffix == ".safetensors":
        hint = f"Give module:callable as the source and this file as weights: {source.source}"
        raise InputError("weights alone are no network", key=key, value=source.source, suggestion=hint)
    if path.is_dir() or path.suffix not in SUFFIXES:
        refuse_pickled(path, key=key)
        raise InputError(
            "must be a network that can be loaded", key=key, value=source.source, suggestion=f"Give {KINDS}"
        )
    module = load_torchscript(path, trust=source.trust, key=key)
    return InceptionFID(freeze(module), key=key) if is_inception_file(path) else module


def _wrap(module: nn.Module, source: ModelSource, origin: Iterable[bytes]) -> Model:
    freeze(module)
    return Model(module, fingerprint(module, origin), source.latent)


def _origin(module: nn.Module, source: ModelSource, folder: Path | None) -> list[bytes]:
    """What decides, beside weights and structure, what a built network computes: its arguments and the user's code.

    The user's code is the files in the sweep file's folder that define the callable and the network's classes.
    """
    name, _, path = source.source.partition(":")
    function = attrgetter(path)(sys.modules[name])
    kinds = {kind for part in module.modules() for kind in type(part).__mro__}
    names = {name, *(str(getattr(made_by, "__module__", "")) for made_by in (inspect.unwrap(function), *kinds))}
    own = [sys.modules[name] for name in names if _lies_in(folder, getattr(sys.modules.get(name), "__file__", None))]
    arguments = json.dumps(source.args, sort_keys=True, default=str)
    return [text.encode() for text in (arguments, *sorted(source_of(file) for file in own))]


def _lies_in(folder: Path | None, file: str | None) -> bool:
    """Whether a module's file is the user's own: in the folder, and not installed there."""
    if folder is None or file is None or "site-packages" in Path(file).parts:
        return False
    return Path(file).resolve().is_relative_to(folder.resolve())


def _infer_latent(module: nn.Module, key: str) -> int:
    """The latent's length from `module.latent` or `latent_dim`, else from the first layer that has weights.

    Raises:
        InputError: neither says; the user must give `latent`.
    """
    for name in ("latent", "latent_dim"):
        stated = getattr(module, name, None)
        if isinstance(stated, int) and stated > 0:
            return stated
    first = next((part for part in module.modules() if getattr(part, "weight", None) is not None), None)
    if isinstance(first, nn.Linear):
        return first.in_features
    if isinstance(first, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return first.in_channels
    rule = "the length of the latent must be given, as the generator does not tell it"
    raise InputError(rule, key=f"{key}.latent", value=type(module).__name__, suggestion="Add for example latent: 128")
