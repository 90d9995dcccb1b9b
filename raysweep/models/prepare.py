"""A network made fast for many forward and backward passes: frozen, batch norm folded, memory format, precision."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from raysweep.models.model import freeze

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def prepare(
    module: nn.Module,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = True,
    keep: Collection[str] = (),
    example: torch.Tensor | None = None,
    read: Callable[[nn.Module], nn.Module] = lambda module: module,
) -> nn.Module:
    """A frozen copy of `module` in eval mode that computes the same, faster.

    Batch norm that follows a convolution, transposed convolution or Linear in the same `nn.Sequential` is folded into
    its weights in float64; layers keep their names, and a folded norm becomes an Identity. A Sequential need not be run
    as a whole, so nothing is folded when that changes what `read` gives for `example`. A TorchScript module is only
    converted.

    Args:
        module: any network; it is left as it is.
        dtype: of weights and buffers.
        channels_last: lay 4-D weights out channels last (networks with 3-D convolutions stay as they are).
        keep: names of layers whose own output is read, so that they must not take in the norm that follows.
        example: inputs to compare the folded network with the original on, in float64; None: trust the folding.
        read: what of a network is compared; its output by default.
    """
    prepared = freeze(copy.deepcopy(module))
    with torch.no_grad():
        prepared.double()
        folded = copy.deepcopy(prepared)
        if _fold(folded, keep) and (example is None or _agree(read(folded), read(prepared), example.double())):
            prepared = folded
        prepared.to(dtype)
    if channels_last and all(weight.ndim != 5 for weight in prepared.parameters()):
        prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return freeze(prepared)


def _agree(folded: nn.Module, original: nn.Module, x: torch.Tensor) -> bool:
    """Whether two networks compute the same; not when they do not run in float64, and so cannot be compared."""
    try:
        one, other = folded(x), original(x)
        return torch.allclose(one, other, rtol=1e-8, atol=1e-9 * float(other.abs().max()))
    except Exception:
        return False


def _fold(module: nn.Module, keep: Collection[str]) -> int:
    """Fold each pair of neighbours in a Sequential where this is exact for the Sequential; the number of pairs."""
    pairs = 0
    uses = Counter(id(part) for _, part in module.named_modules(remove_duplicate=False))
    for path, chain in list(module.named_modules()):
        if type(chain) is not nn.Sequential:
            continue
        names = list(chain._modules)
        for name, following in pairwise(names):
            layer, norm = chain.get_submodule(name), chain.get_submodule(following)
            full_name = f"{path}.{name}" if path else name
            if full_name in keep or uses[id(layer)] > 1 or uses[id(norm)] > 1 or not _plain(layer):
                continue
            folded = _folded(layer, norm)
            if folded is not None:
                setattr(chain, name, folded)
                setattr(chain, following, nn.Identity())
                pairs += 1
    return pairs


def _folded(layer: Any, norm: Any) -> nn.Module | None:
    """One layer for the two, or None when they do not fold exactly."""
    if type(norm) not in _NORM or norm.running_mean is None or not _plain(norm):
        return None
    if type(layer) in _CONV:
        return fuse_conv_bn_eval(layer, norm)
    if type(layer) in _TRANSPOSED and layer.groups == 1:
        return fuse_conv_bn_eval(layer, norm, transpose=True)
    if type(layer) is nn.Linear and norm.num_features == layer.out_features:
        return fuse_linear_bn_eval(layer, norm)
    return None


def _plain(part: nn.Module) -> bool:
    """Whether nothing is attached that folding would lose: hooks, or a parametrised weight."""
    attached = part._forward_hooks or part._forward_pre_hooks or hasattr(part, "parametrizations")
    return not attached
