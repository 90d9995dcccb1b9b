"""A network as a graph that LRP can walk back through: traced, cut where it is read, batch norm merged."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from raysweep.errors import InputError
from raysweep.methods.relevance.operations import CONVOLUTIONS, NORMS, layer_kind
from raysweep.models.readout import Readout

_IN_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


def traced(readout: Readout, *, key: str) -> tuple[nn.Module, fx.Graph]:
    """A copy of the network that `readout` reads, and the graph of its operations up to there.

    Batch norm behind a layer with weights is merged into it, and nothing works in place.

    Raises:
        InputError: a network in train mode, or one that torch.fx cannot trace.
    """
    if any(part.training for part in readout.module.modules()):
        rule = "must be in eval mode: in train mode dropout and batch norm make another network of it with each batch"
        raise InputError(rule, key=key, value="train mode", suggestion="Call .eval() on it")
    if isinstance(readout.module, torch.jit.ScriptModule):
        rule = "must be a network whose layers can be seen, so no TorchScript file"
        raise InputError(rule, key=key, value="TorchScript", suggestion="Give it as module:callable with its weights")
    module = copy.deepcopy(readout.module)
    parts: list[Any] = [part for part in module.modules() if hasattr(part, "inplace")]
    for part in parts:
        part.inplace = False
    try:
        graph = fx.Tracer().trace(module)
    except Exception as error:  # whatever a forward raises that is given a proxy
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        rule = "must be a network that torch.fx can trace, whose way does not depend on the values that it is given"
        raise InputError(rule, key=key, value=f"{type(module).__name__}: {reason}") from error
    if sum(node.op == "placeholder" and not node.args for node in graph.nodes) != 1:
        raise InputError("must take one tensor", key=key, value=type(module).__name__)
    _cut(graph, *readout.watched, key=key)
    for node in graph.nodes:
        node.target = _IN_PLACE.get(node.target, node.target) if node.op == "call_function" else node.target
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
    _merge_norms(module, graph)
    return module, graph


def output_of(graph: fx.Graph, *, key: str) -> fx.Node:
    """The node whose value is the network's."""
    made = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(made, fx.Node):
        raise InputError("must give one tensor", key=key, value=type(made).__name__)
    return made


def path_of(node: fx.Node) -> str:
    """The module that a node is, or that it is in."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(node.target) if node.op == "call_module" else next(reversed(stack), "")


def run(module: nn.Module, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """What a node makes of the values of those that it depends on."""
    if node.op == "get_attr":
        found: Any = module
        for name in str(node.target).split("."):
            found = getattr(found, name)
        return found.detach() if isinstance(found, Tensor) else found
    args = fx.map_arg(node.args, values.__getitem__)
    kwargs: Any = fx.map_arg(node.kwargs, values.__getitem__)
    if node.op == "call_module":
        return module.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "call_method":
        one: Any
        one, *others = args  # type: ignore[misc]
        return getattr(one, str(node.target))(*others, **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _cut(graph: fx.Graph, layer: str | None, takes_input: bool, *, key: str) -> None:
    """End at the first call of a layer, or at what it is given."""
    if layer is not None:
        calls = [node for node in graph.nodes if node.op == "call_module" and node.target == layer]
        inside = [node for node in graph.nodes if layer in (node.meta.get("nn_module_stack") or {})]
        if not calls and not inside:
            raise InputError("layer must be one that runs", key="target.layer", value=layer)
        end = calls[0].args[0] if takes_input else calls[0] if calls else inside[-1]
        next(node for node in graph.nodes if node.op == "output").args = (end,)
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def _merge_norms(module: nn.Module, graph: fx.Graph) -> None:
    """Make one layer of a convolution or Linear and the batch norm that alone reads it."""
    modules = dict(module.named_modules())
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    for node in list(graph.nodes):
        source = node.args[0] if node.op == "call_module" and isinstance(modules[node.target], NORMS) else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        merged = _merged(modules[str(source.target)], modules[node.target])
        if merged is None or calls.count(source.target) > 1:
            continue
        parent, _, name = str(source.target).rpartition(".")
        setattr(module.get_submodule(parent), name, merged)
        node.replace_all_uses_with(source)
        graph.erase_node(node)


def _merged(layer: Any, norm: Any) -> nn.Module | None:
    if norm.running_mean is None or hasattr(layer, "parametrizations"):
        return None
    if isinstance(layer, CONVOLUTIONS):
        return fuse_conv_bn_eval(layer, norm)
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, norm) if norm.num_features == layer.out_features else None
    if layer_kind(layer) == "convolution" and layer.groups == 1:
        return fuse_conv_bn_eval(layer, norm, transpose=True)
    return None
