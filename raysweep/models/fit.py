"""Whether networks and data fit each other: tried on two rows before anything is started."""

from __future__ import annotations

import torch
from torch import nn

from raysweep.data.dataset import Dataset
from raysweep.errors import InputError
from raysweep.models.model import Model
from raysweep.models.readout import Readout

_ROWS = 2


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
            are in the message), or the response is not one number a row, or is one after a softmax.
    """
    if generator.latent is None:
        raise InputError("the length of the latent must be given", key=f"{key}.generator.latent")
    shape = [_ROWS, generator.latent]
    try:
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            made = generator.module(_like(latents, generator.module))
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


def check_data_fit(dataset: Dataset, readout: Readout, *, key: str = "data") -> None:
    """Send two samples through the readout.

    Raises:
        InputError: the samples are not what the classifier takes, or what is read is not what it should be.
    """
    _check_read(readout, torch.tensor(dataset.x[:_ROWS]), "a sample of the data", None, key, "models.classifier")


def check_features(features: nn.Module, shape: tuple[int, ...], *, key: str = "objective") -> None:
    """Send two explanations through the network whose features an objective compares.

    Raises:
        InputError: they are not what it takes, or it has no such layer.
    """
    inputs = torch.zeros(_ROWS, *shape)
    try:
        with torch.no_grad():
            features(_like(inputs, features))
    except InputError:
        raise
    except Exception as error:
        rule = f"an explanation must be what the network of the features takes: {_first_layer(features)}"
        raise InputError(rule, key=key, value=list(shape), suggestion=_first_line(error)) from error


def _check_read(
    readout: Readout, inputs: torch.Tensor, what: str, wanted: list[int] | None, key: str, reader: str
) -> None:
    """Errors about the inputs name `key`; errors about the network that reads them, `reader`."""
    role = reader.rsplit(".", 1)[-1]
    shape = list(inputs.shape[1:])
    try:
        with torch.no_grad():
            read = readout(_like(inputs, readout.module))
    except InputError:
        raise
    except Exception as error:
        takes = f"{wanted}, the shape of the data" if wanted and wanted != shape else _first_layer(readout.module)
        rule = f"{what} must be what the {role} takes: {takes}"
        raise InputError(rule, key=key, value=shape, suggestion=_first_line(error)) from error
    if len(read) != len(inputs):
        found = f"{len(inputs)} -> {len(read)}"
        raise InputError(f"the {role} must give one response a row", key=reader, value=found)
    if readout.layer is None:
        _refuse_softmax(readout, inputs, reader)


def _refuse_softmax(readout: Readout, inputs: torch.Tensor, key: str) -> None:
    """A softmax inside `forward` leaves no module to see, but its rows sum to one."""
    with torch.no_grad():
        output = readout.module(_like(inputs, readout.module)).double()
    if output.ndim != 2 or output.shape[1] < 2:
        return
    ones = output.new_ones(len(output))
    probable = bool((output >= 0).all()) and torch.allclose(output.sum(1), ones, atol=1e-3)
    if probable or torch.allclose(output.exp().sum(1), ones, atol=1e-3):
        hint = "Return the logits, or give layer: the one before it"
        rule = "the response must be the one before softmax, and the outputs are (log-)probabilities"
        raise InputError(rule, key=key, value=[round(value, 4) for value in output[0].tolist()[:4]], suggestion=hint)


def _like(x: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """x in the module's own precision and on its device."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), x)
    return x.to(weight.device, weight.dtype)


def _first_layer(module: nn.Module) -> str:
    first = next((part for part in module.modules() if getattr(part, "weight", None) is not None), module)
    return f"its first layer is {str(first).splitlines()[0]}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
