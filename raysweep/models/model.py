"""A network as every room sees it: frozen, in eval mode, with a fingerprint of what it computes."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class ModelSource:
    """Where a network comes from, as a sweep file says it.

    Args:
        source: zoo://collection/name, module:callable, or a TorchScript file (.pt, .ts).
        weights: a .safetensors file for what `module:callable` builds.
        trust: "torchscript" to allow a TorchScript file, which runs code of its own.
        args: keywords for `module:callable`.
        latent: length of a generator's latent vector, where it cannot be found out.
    """

    source: str
    weights: str | None = None
    trust: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    latent: int | None = None


@dataclass(frozen=True)
class Model:
    """A loaded network.

    Args:
        module: frozen (no parameter requires a gradient) and in eval mode, on the CPU.
        fingerprint: sha256 of its weights, structure, own source code and where it comes from, as hex.
        latent: length of a generator's latent vector; None when it was not loaded as a generator.
        units: names of the output units, where known.
        media: how a generator's output is shown ("image", "logmel"), where known.
    """

    module: nn.Module
    fingerprint: str
    latent: int | None = None
    units: tuple[str, ...] | None = None
    media: str | None = None


def freeze(module: nn.Module) -> nn.Module:
    """The same module in eval mode, none of its parameters requiring a gradient, so that it can be copied."""
    for parameter in module.parameters():  # module.requires_grad_ is not there in TorchScript
        parameter.requires_grad_(False)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, torch.Tensor) and value.grad_fn is not None:  # a weight that hooks make of others
                setattr(part, name, value.detach())
    return module.eval()


def like(x: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """x in the module's own precision and on its device."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), x)
    return x.to(weight.device, weight.dtype)


def fingerprint(module: nn.Module, origin: Iterable[bytes] = ()) -> str:
    """sha256 over state (name, dtype, shape, bytes), structure and the source of the module's own classes.

    The source counts because an edited `forward` is another network with the same weights; comments, layout
    and docstrings do not. `origin` is whatever else decides what it computes, such as arguments it was built with.
    """
    digest = hashlib.sha256(f"{type(module).__qualname__}\n{module}".encode())
    own = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
    for source in sorted(source_of(kind) for kind in own):
        digest.update(source.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    for part in origin:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def source_of(kind: type | ModuleType) -> str:
    """The code of a class or a file without comments, layout and docstrings; nothing when there is no source to see."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
