"""Weights from safetensors files; files that would run code when opened are refused with the way to convert them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from raysweep.errors import InputError

PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
_SHOWN = 4


def refuse_pickled(path: Path, *, key: str) -> None:
    """Raise InputError when the file's name says that it is pickled: opening such a file can run any code."""
    if path.suffix in PICKLED:
        new = path.with_suffix(".safetensors").name
        hint = (
            "Convert it: python -c \"import torch, safetensors.torch; p = '" + path.name + "'; "
            f"safetensors.torch.save_file(torch.load(p, map_location='cpu', weights_only=True), '{new}')\""
        )
        raise InputError("weights must be safetensors, not a pickle", key=key, value=path.name, suggestion=hint)


def load_weights(module: nn.Module, path: Path, *, key: str) -> None:
    """Fill `module` with the weights in the .safetensors file `path`.

    Raises:
        InputError: pickled, truncated, or weights that do not fit: the first few missing, unexpected and differently
            shaped tensors are named.
    """
    refuse_pickled(path, key=key)
    if path.suffix != ".safetensors":
        raise InputError("weights must be a .safetensors file", key=key, value=path.name)
    try:
        given = load_file(path)
    except (SafetensorError, OSError) as error:
        rule = "must be a whole .safetensors file"
        raise InputError(rule, key=key, value=path.name, suggestion=str(error).splitlines()[0]) from error
    wanted = module.state_dict()
    problems = _missing(wanted, given) + _unexpected(wanted, given) + _misshapen(wanted, given)
    if problems and (prefix := _prefix(wanted, given)):
        rule = f"weights must have the names that {type(module).__name__} has"
        cut = f"{{name[{len(prefix)}:]: tensor for name, tensor in state.items()}}"
        hint = f"Take '{prefix}' off every name in the file: state = {cut}"
        raise InputError(rule, key=key, value=f"{path.name}: {min(given)}", suggestion=hint)
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        hint = "; ".join(problems[:_SHOWN] + more)
        raise InputError(f"weights must fit {type(module).__name__}", key=key, value=path.name, suggestion=hint)
    module.load_state_dict(given, strict=False)


def _prefix(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> str | None:
    """What stands before every name in the file, which fits without it: a wrapper's, as `module.` of DataParallel."""
    last = next(reversed(wanted), "")
    for name in given:
        prefix = name.removesuffix(last)
        if last and prefix not in (name, "") and all(one.startswith(prefix) for one in given):
            bare = {one.removeprefix(prefix): tensor for one, tensor in given.items()}
            return None if _missing(wanted, bare) + _unexpected(wanted, bare) + _misshapen(wanted, bare) else prefix
    return None


def _missing(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> list[str]:
    """Names without weights. Tied tensors are stored once; the count of batches is never read in eval mode."""
    stored = {wanted[name].data_ptr() for name in wanted.keys() & given.keys()}
    return [
        f"{name} {list(tensor.shape)} is missing"
        for name, tensor in wanted.items()
        if name not in given and tensor.data_ptr() not in stored and not name.endswith("num_batches_tracked")
    ]


def _unexpected(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> list[str]:
    return [f"{name} {list(given[name].shape)} has no place" for name in sorted(given.keys() - wanted.keys())]


def _misshapen(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> list[str]:
    return [
        f"{name} is {list(given[name].shape)} in the file, {list(wanted[name].shape)} in the network"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
