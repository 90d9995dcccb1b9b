"""Whether a response is read after a softmax or sigmoid, where it saturates: METHODS asks for the one before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from raysweep.data.dataset import Dataset
from raysweep.errors import InputError
from raysweep.models.model import like
from raysweep.models.readout import Readout

_SQUASHING = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Sigmoid, nn.LogSigmoid)
_ROWS, _BATCH = 2, 64


def check_unsquashed(readout: Readout, dataset: Dataset, *, key: str) -> None:
    """Try a network whose output is read on the data; a layer that is named is taken as it is.

    A squashing layer counts when it ran and its output is the network's. One that is no layer shows in the outputs:
    all of them are probabilities (or their logarithms), on every example. Two examples clear most networks.

    Args:
        readout: of the network; when it reads a layer, nothing is tried.
        dataset: what the network takes.
        key: the sweep file's key of the network, for errors about its outputs; those about a layer name the readout's.

    Raises:
        InputError: the output comes after a softmax or sigmoid.
    """
    if readout.layer is not None:
        return
    _refuse_layer(readout, torch.tensor(dataset.x[:_ROWS]))
    outputs = Readout(readout.module, key=readout.key)
    low, high = 1.0, 0.0
    for rows in _batches(dataset):
        with torch.no_grad():
            units = outputs(like(rows, readout.module)).double()
        if not _probable(units):
            return
        low, high = min(low, float(units.min())), max(high, float(units.max()))
    what = "the outputs are (log-)probabilities" if units.shape[1] > 1 else "all outputs lie between 0 and 1"
    hint = "Return the logits, or give layer: the one before it (with its unit, a layer is taken as it is)"
    value = f"{low:.4g} to {high:.4g} on the data"
    raise InputError(
        f"the response must be the one before softmax or sigmoid, and {what}", key=key, value=value, suggestion=hint
    )


def _refuse_layer(readout: Readout, x: torch.Tensor) -> None:
    """Refuse a squashing layer whose output is the network's, naming the layer before it."""
    ran, result = _run(readout.module, x)
    last = next((one for one in reversed(ran) if one[3] is result and isinstance(one[1], _SQUASHING)), None)
    if last is None:
        return
    before = next((name for name, _, _, output in ran if name and output is last[2]), None)
    hint = "Take that layer off the network, or give layer: the one before it"
    raise InputError(
        "the response must be the one before softmax or sigmoid, and the network ends in one",
        key=readout.key,
        value=repr(last[1]),
        suggestion=f"{hint}, here '{before}'" if before else hint,
    )


def _run(network: nn.Module, x: torch.Tensor) -> tuple[list[tuple[str, nn.Module, Any, Any]], Any]:
    """Each layer that ran, as (name, layer, input, output) in the order of running; and the network's output."""
    ran: list[tuple[str, nn.Module, Any, Any]] = []

    def keep(name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        ran.append((name, layer, inputs[0] if inputs else None, output))

    layers = [
        (name, part)
        for name, part in network.named_modules()
        if not any(part.children()) and not isinstance(part, torch.jit.ScriptModule)
    ]
    hooks = [part.register_forward_hook(partial(keep, name)) for name, part in layers]
    try:
        with torch.no_grad():
            return ran, network(like(x, network))
    finally:
        for hook in hooks:
            hook.remove()


def _batches(dataset: Dataset) -> Iterator[torch.Tensor]:
    yield torch.tensor(dataset.x[:_ROWS])
    for start in range(_ROWS, len(dataset.x), _BATCH):
        yield torch.tensor(dataset.x[start : start + _BATCH])


def _probable(units: torch.Tensor) -> bool:
    """Whether units [B, D] can be probabilities: in [0, 1] and, when there are several, with a sum (of exponentials) 1.

    Several in [0, 1] with another sum are taken for logits, for a sigmoid on each is rare and small logits are not.
    """
    inside = bool(((units >= 0) & (units <= 1)).all())
    if units.shape[1] == 1:
        return inside
    ones = units.new_ones(len(units))
    return (inside and torch.allclose(units.sum(1), ones, atol=1e-3)) or torch.allclose(
        units.exp().sum(1), ones, atol=1e-3
    )
