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

from raysweep.models.layout import lay_out_channels_last
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
    its weights in float64, also over an Unflatten; layers keep their names, and a folded norm becomes an Identity.
    Linear layers beside maps are turned (`layout`). A Sequential need not be run as a whole, so neither is done when it
    changes what `read` gives for `example`. A TorchScript module is only converted.

    Args:
        module: any network; it is left as it is.
        dtype: of weights and buffers.
        channels_last: lay 4-D weights out channels last (networks with 3-D convolutions stay as they are).
        keep: names of layers whose own output is read, so that they must not take in the norm that follows.
        example: inputs to compare the changed network with the original on, in float64; None: trust the folding, and
            turn no layer.
        read: what of a network is compared; its output by default.
    """
    prepared = freeze(copy.deepcopy(module))
    with torch.no_grad():
        x = None if example is None else example.double()
        prepared = _changed(prepared.double(), lambda network: _fold(network, keep), x, read)
        if channels_last and x is not None:
            prepared = _changed(prepared, lambda network: lay_out_channels_last(network, x, keep), x, read)
        prepared.to(dtype)
    if channels_last and all(weight.ndim != 5 for weight in prepared.parameters()):
        prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return freeze(prepared)


def beside(network: nn.Module) -> nn.Module:
    """The same network for another thread: layers, hooks and buffers of its own, but the same weights in memory.

    Args:
        network: frozen; of a TorchScript network the weights are copied too.
    """
    weights: dict[int, Any] = {id(weight): weight for weight in network.parameters()}
    return copy.deepcopy(network, weights)


def _changed(
    network: nn.Module,
    change: Callable[[nn.Module], int],
    example: torch.Tensor | None,
    read: Callable[[nn.Module], nn.Module],
) -> nn.Module:
    """A copy that was changed, if it computes the same; else the network itself."""
    try:
        changed = copy.deepcopy(network)
        same = change(changed) and (example is None or _agree(read(changed), read(network), example))
    except Exception:  # whatever a network raises that does not run in float64
        same = False
    return changed if same else network


def _agree(folded: nn.Module, original: nn.Module, x: torch.Tensor) -> bool:
    """Whether two networks compute the same."""
    one, other = folded(x), original(x)
    return torch.allclose(one, other, rtol=1e-8, atol=1e-9 * float(other.abs().max()))


def _fold(module: nn.Module, keep: Collection[str]) -> int:
    """Fold each pair of neighbours in a Sequential where this is exact for the Sequential; the number of pairs."""
    pairs = 0
    uses = Counter(id(part) for _, part in module.named_modules(remove_duplicate=False))
    for path, chain in list(module.named_modules()):
        if type(chain) is not nn.Sequential:
            continue
        names = list(chain._modules)
        read = {name.rpartition(".")[2] for name in keep if name.rpartition(".")[0] == path}
        for index, (name, following) in enumerate(pairwise(names)):
            layer, norm, shape = chain.get_submodule(name), chain.get_submodule(following), None
            if type(norm) is nn.Unflatten and norm.dim == 1 and following not in read and index + 2 < len(names):
                shape, following = tuple(norm.unflattened_size), names[index + 2]
                norm = chain.get_submodule(following)
            if name in read or uses[id(layer)] > 1 or uses[id(norm)] > 1 or not _plain(layer):
                continue
            folded = _folded(layer, norm, shape)
            if folded is not None:
                setattr(chain, name, folded)
                setattr(chain, following, nn.Identity())
                pairs += 1
    return pairs


def _folded(layer: Any, norm: Any, shape: tuple[int, ...] | None) -> nn.Module | None:
    """One layer for the two, or None when they do not fold exactly; `shape` is what an Unflatten between them makes."""
    if type(norm) not in _NORM or norm.running_mean is None or not _plain(norm):
        return None
    if shape is not None:
        return _folded_over_unflatten(layer, norm, shape) if type(layer) is nn.Linear else None
    if type(layer) in _CONV:
        return fuse_conv_bn_eval(layer, norm)
    if type(layer) in _TRANSPOSED and layer.groups == 1:
        return fuse_conv_bn_eval(layer, norm, transpose=True)
    if type(layer) is nn.Linear and norm.num_features == layer.out_features:
        return fuse_linear_bn_eval(layer, norm)
    return None


def _folded_over_unflatten(layer: nn.Linear, norm: Any, shape: tuple[int, ...]) -> nn.Module | None:
    """A Linear that makes a map [C, ...], which is normalised by channel."""
    if shape[0] != norm.num_features:
        return None
    wide = nn.BatchNorm1d(layer.out_features, norm.eps, affine=norm.affine).to(layer.weight).eval()
    for name, value in (*norm.named_parameters(), *norm.named_buffers()):
        if value.ndim:
            getattr(wide, name).data = value.repeat_interleave(layer.out_features // shape[0])
    return fuse_linear_bn_eval(layer, wide)


def _plain(part: nn.Module) -> bool:
    """Whether nothing is attached that folding would lose: hooks, or a parametrised weight."""
    attached = part._forward_hooks or part._forward_pre_hooks or hasattr(part, "parametrizations")
    return not attached
