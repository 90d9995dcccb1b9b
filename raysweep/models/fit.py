"""Whether networks and data fit each other: tried on two rows before anything is started."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raysweep.data.dataset import Dataset
from raysweep.errors import InputError
from raysweep.models.model import Model, like
from raysweep.models.readout import Readout

_ROWS = 2
_RANGE_ROWS = 16
_TOLERANCE = 0.05


def check_fit(
    generator: Model, readout: Readout, *, data: Dataset | None = None, key: str = "models", role: str = "classifier"
) -> tuple[int, ...]:
    """Send two latents through the generator and the readout; the shape of one explanation [C, H, W].

    Args:
        generator: loaded with `generator=True`, so that its latent is known.
        readout: of the classifier, on the same device.
        data: the real data, which says what the classifier takes when the generator's output does not fit.
        key: the sweep file's key of all networks, for errors.
        role: which of them is read: "classifier" or "judge".

    Raises:
        InputError: the generator does not take its latent, or its output is not what the classifier takes (both shapes
            are in the message), or the response is not one number a row.
    """
    if generator.latent is None:
        raise InputError("the length of the latent must be given", key=f"{key}.generator.latent")
    shape = [_ROWS, generator.latent]
    try:
        made = generate(generator, latents_for(generator))
    except Exception as error:
        rule = f"the generator must take latents {shape}"
        raise InputError(rule, key=f"{key}.generator", suggestion=_first_line(error)) from error
    if not isinstance(made, torch.Tensor) or made.ndim < 2 or len(made) != _ROWS:
        found = list(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
        raise InputError(
            f"the generator must give one output a latent for {shape}", key=f"{key}.generator", value=found
        )
    wanted = list(data.x.shape[1:]) if data is not None else None
    at_fault = f"{key}.generator" if role == "classifier" else f"{key}.{role}"  # the classifier has been tried on data
    _check_read(readout, made, "the generator's output", wanted, at_fault, f"{key}.{role}")
    return tuple(made.shape[1:])


def tried(module: nn.Module, x: torch.Tensor, rule: str, *, key: str, name: str | None = None) -> Any:
    """What a network makes of inputs, without a gradient.

    Args:
        rule: what it must take and give.
        name: of the network, where it is not its class's.

    Raises:
        InputError: `rule`, with what the network raised.
    """
    try:
        with torch.no_grad():
            return module(like(x, module))
    except Exception as error:
        raise InputError(rule, key=key, value=name or type(module).__name__, suggestion=_first_line(error)) from error


def latents_for(generator: Model, rows: int = _ROWS) -> torch.Tensor:
    """Latents [rows, d] to try a generator on: always the same ones."""
    assert generator.latent is not None
    return torch.randn(rows, generator.latent, generator=torch.Generator().manual_seed(0))


def generate(generator: Model, latents: torch.Tensor) -> torch.Tensor:
    """What a generator makes of latents, without a gradient."""
    with torch.no_grad():
        made: torch.Tensor = generator.module(like(latents, generator.module))
    return made


def check_range(generator: Model, dataset: Dataset, *, key: str = "models.generator") -> None:
    """Images lie in [0, 1], in the data and from the generator: a score would else compare two scales.

    Raises:
        InputError: the generator leaves that range by more than 0.05; both ranges are in the message.
    """
    pairs = latents_for(generator, _RANGE_ROWS).split(_ROWS)  # a large network may have no room for more here
    made = torch.cat([generate(generator, pair) for pair in pairs])
    low, high = float(made.min()), float(made.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        data = f"[{float(dataset.x.min()):.3g}, {float(dataset.x.max()):.3g}]"
        rule = f"the generator must make images in [0, 1], as the data are: theirs lie in {data}"
        hint = "Rescale in its forward, after a tanh by (x + 1) / 2; if these are no images, say media: array for data"
        raise InputError(rule, key=key, value=[round(low, 3), round(high, 3)], suggestion=hint)


def check_gradient(network: nn.Module, x: torch.Tensor, *, key: str) -> None:
    """Take one gradient, as every step will.

    Raises:
        InputError: the network does not pass it back to its input.
    """
    x = like(x, network).detach().clone().requires_grad_()
    rule, gradient = "the network must pass gradients back to its input", None
    try:
        output = network(x)
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(output.sum(), x, allow_unused=True)
    except RuntimeError as error:
        raise InputError(rule, key=key, suggestion=_first_line(error)) from error
    if gradient is None:
        hint = "Take torch.no_grad(), detach() and the like out of its forward"
        raise InputError(rule, key=key, suggestion=hint)


def check_data_fit(
    dataset: Dataset, readout: Readout, *, key: str = "data", reader: str = "models.classifier"
) -> torch.Tensor:
    """Send two samples through the readout; what is read of them.

    Raises:
        InputError: the samples are not what the classifier takes, or what is read is not what it should be.
    """
    return _check_read(readout, torch.tensor(dataset.x[:_ROWS]), "a sample of the data", None, key, reader)


def check_features(features: nn.Module, shape: tuple[int, ...], *, key: str = "objective") -> None:
    """Send two explanations through the network whose features an objective compares.

    Raises:
        InputError: they are not what it takes, or it has no such layer.
    """
    inputs = torch.zeros(_ROWS, *shape)
    try:
        with torch.no_grad():
            features(like(inputs, features))
    except InputError:
        raise
    except Exception as error:
        rule = f"an explanation must be what the network of the features takes: {_first_layer(features)}"
        raise InputError(rule, key=key, value=list(shape), suggestion=_first_line(error)) from error


def _check_read(
    readout: Readout, inputs: torch.Tensor, what: str, wanted: list[int] | None, key: str, reader: str
) -> torch.Tensor:
    """Errors about the inputs name `key`; errors about the network that reads them, `reader`."""
    role = reader.rsplit(".", 1)[-1]
    shape = list(inputs.shape[1:])
    try:
        with torch.no_grad():
            read: torch.Tensor = readout(like(inputs, readout.module))
    except InputError:
        raise
    except Exception as error:
        takes = f"{wanted}, the shape of the data" if wanted and wanted != shape else _first_layer(readout.module)
        rule = f"{what} must be what the {role} takes: {takes}"
        raise InputError(rule, key=key, value=shape, suggestion=_first_line(error)) from error
    if len(read) != len(inputs):
        found = f"{len(inputs)} -> {len(read)}"
        raise InputError(f"the {role} must give one response a row", key=reader, value=found)
    return read


def _first_layer(module: nn.Module) -> str:
    first = next((part for part in module.modules() if getattr(part, "weight", None) is not None), module)
    return f"its first layer is {str(first).splitlines()[0]}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
