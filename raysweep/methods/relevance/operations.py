"""What each operation of a traced network is to LRP: a linear layer, a function of each element, a way, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.fx import Node
from torch.nn import functional

from raysweep.errors import InputError
from raysweep.methods.relevance.rules import Layer


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTWISE = _named(
    "identity dropout dropout1d dropout2d dropout3d alphadropout relu relu6 leakyrelu prelu elu selu celu gelu silu "
    "mish hardswish hardsigmoid hardtanh tanh sigmoid logsigmoid softplus softsign neg negative abs exp log log1p sqrt "
    "square sin cos clamp clampmin clampmax"
)
"""Each output depends on one input, and takes its relevance from it."""
AFFINE = _named("identity dropout dropout1d dropout2d dropout3d alphadropout neg negative add sub mul truediv")
"""Of these, and of sums and products with constants, those that keep a box a box, as do all ways."""
WAYS = _named(
    "flatten unflatten view reshape permute transpose movedim contiguous squeeze unsqueeze getitem cat concat stack "
    "pad zeropad1d zeropad2d zeropad3d constantpad1d constantpad2d constantpad3d reflectionpad1d reflectionpad2d "
    "replicationpad1d replicationpad2d maxpool1d maxpool2d maxpool3d adaptivemaxpool1d adaptivemaxpool2d "
    "adaptivemaxpool3d amax pixelshuffle pixelunshuffle channelshuffle narrow select flip roll expand expandas to "
    "float double"
)
"""Each output is one of the inputs, or a constant; of a maximum, the input that it is."""
AVERAGES = _named(
    "avgpool1d avgpool2d avgpool3d adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d mean sum upsample interpolate "
    "upsamplingnearest2d upsamplingbilinear2d"
)
"""Each output is a sum of inputs with weights that are not negative."""
SUMS = {"add": 1.0, "sub": -1.0}
"""Of two tensors, with the sign of the second."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = {
    nn.ConvTranspose1d: functional.conv_transpose1d,
    nn.ConvTranspose2d: functional.conv_transpose2d,
    nn.ConvTranspose3d: functional.conv_transpose3d,
}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Operation:
    """One operation of a network.

    Args:
        node: of the traced graph.
        kind: "dense", "convolution", "norm", "average" or "sum", which are linear layers; "elementwise" or "way".
        sources: the tensors that it works on and that the network's input decides, in the order of its arguments.
        path: the module, or the module that it is in.
        affine: whether an input within a box gives an output within the box of its ends.
    """

    node: Node
    kind: str
    sources: tuple[Node, ...]
    path: str
    affine: bool


def operation(node: Node, module: nn.Module | None, sources: tuple[Node, ...], path: str, *, key: str) -> Operation:
    """What a node is.

    Args:
        module: what it calls, if that is a module.

    Raises:
        InputError: nothing that LRP has a rule for.
    """
    name = name_of(node, module)
    one = len(sources) == 1
    kind: str | None = None if module is None else layer_kind(module)
    if name in SUMS and len(sources) == 2:
        kind = "sum"
    elif one and (name in ELEMENTWISE or name in (*SUMS, "mul") or (name == "truediv" and node.args[0] is sources[0])):
        kind = "elementwise"
    elif one and name in AVERAGES and getattr(module, "mode", node.kwargs.get("mode")) != "bicubic":
        kind = "average"
    elif name in WAYS:
        kind = "way"
    if kind is None:
        what = type(module).__name__ if module is not None else f"{_shown(node)} of {len(sources)} tensor(s)"
        rule = "must have only layers that LRP has a rule for"
        raise InputError(rule, key=key, value=f"{what} at '{path or '.'}'", suggestion=f"Supported: {supported()}")
    return Operation(node, kind, sources, path, kind == "way" or (name in AFFINE and one))


def supported() -> str:
    """All that LRP has a rule for, in words."""
    layers = "Linear, Conv1d to 3d, ConvTranspose1d to 3d, BatchNorm1d to 3d in eval mode, sums of two tensors"
    names = ", ".join(sorted(ELEMENTWISE | AVERAGES | WAYS))
    return f"{layers}, products with constants, {names}"


def name_of(node: Node, module: nn.Module | None) -> str:
    """One name for a module, a function and a method of the same thing: `MaxPool2d`, `max_pool2d`."""
    if module is not None:
        return type(module).__name__.lower()
    shown = _shown(node)
    return shown.replace("_", "") if not shown.endswith("_") else shown  # what ends so works in place


def _shown(node: Node) -> str:
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def layer_kind(module: nn.Module) -> str | None:
    """Of modules with weights in which they are linear; None of others."""
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return "convolution"
    return "norm" if isinstance(module, NORMS) and module.running_mean is not None else None


def layer_of(module: Any, dims: int) -> Layer:
    """A module with weights as rules see it.

    Args:
        dims: of its inputs [B, ...].
    """
    if isinstance(module, nn.Linear):
        return Layer(functional.linear, module.weight.detach(), _detached(module.bias), joint=(-1, 1))
    if isinstance(module, NORMS):
        return _norm(module, (-1, *[1] * (dims - 2)))
    bias = _detached(module.bias)
    bias = None if bias is None else bias.view(-1, *[1] * len(module.kernel_size))
    transposed = next((function for kind, function in TRANSPOSED.items() if isinstance(module, kind)), None)
    if transposed is None:
        joint = (1, 1) if module.groups == 1 else None
        return Layer(lambda x, w: module._conv_forward(x, w, None), module.weight.detach(), bias, joint)
    options = (module.stride, module.padding, module.output_padding, module.groups, module.dilation)
    return Layer(lambda x, w: transposed(x, w, None, *options), module.weight.detach(), bias)


def _norm(module: Any, shape: tuple[int, ...]) -> Layer:
    """Batch norm in eval mode: each channel times a number, plus another."""
    scale = (module.running_var + module.eps).rsqrt()
    scale = scale if module.weight is None else scale * module.weight
    shift = -module.running_mean * scale
    shift = shift if module.bias is None else shift + module.bias
    return Layer(lambda x, w: x * w, scale.detach().view(shape), shift.detach().view(shape))


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()
