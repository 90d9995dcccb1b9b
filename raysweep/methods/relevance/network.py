"""A network whose responses are handed back to its inputs, layer by layer, as their relevance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from raysweep.errors import InputError
from raysweep.methods.relevance.composites import Composite, Place, check_paths, rule_of
from raysweep.methods.relevance.graph import output_of, path_of, run, traced
from raysweep.methods.relevance.operations import SUMS, Operation, layer_of, name_of, operation
from raysweep.methods.relevance.rules import BIASES, RULES, Bounds, Layer, Step, pass_of
from raysweep.models.readout import CHANNELS_LAST, Readout, per_unit

Values = dict[fx.Node, Any]

WITH_WEIGHTS = ("dense", "convolution")
LINEAR = (*WITH_WEIGHTS, "norm", "average", "sum")
CLOSE = 1e-3
"""How far the traced network may be from the network itself, of the largest response."""


class RelevanceNetwork:
    """LRP through a network: sequential, or with branches that meet, as residual networks have them.

    Args:
        readout: the network, and the layer whose units are explained.
        composite: which rule each layer gets.
        example: inputs [B, *shape] to try it with, on the network's device and in its precision.
        biases: one of `BIASES`.
        bounds: the least and the greatest that inputs can be, for the rule box.
        key: of the network in a sweep file, for errors.

    Raises:
        InputError: a layer without a rule, a network in train mode or that cannot be traced, or no bounds for box.
    """

    def __init__(
        self,
        readout: Readout,
        composite: Composite,
        example: Tensor,
        biases: str = "absorb",
        bounds: tuple[float, float] | None = None,
        *,
        key: str = "models.classifier",
    ) -> None:
        if biases not in BIASES:
            raise InputError(f"must be one of {', '.join(BIASES)}", key="method.bias", value=biases)
        self.biases, self.key = biases, key
        self.module, graph = traced(readout, key=key)
        self.nodes, self.output = list(graph.nodes), output_of(graph, key=key)
        self.input = next(node for node in self.nodes if node.op == "placeholder")
        layer, _ = readout.watched
        self._last_axis = layer is not None and isinstance(readout.module.get_submodule(layer), CHANNELS_LAST)
        with torch.no_grad():
            values = self._plain(example)
            self._same(readout, values[self.output], example)
            self.operations = self._operations(values)
            self.places = self._places()
            check_paths(composite, list(self.places.values()))
            self.rules = {node: rule_of(composite, place) for node, place in self.places.items()}
            self._weights = {
                node: layer_of(self.module.get_submodule(one.path), values[one.sources[0]].dim())
                for node, one in self.operations.items()
                if one.kind in (*WITH_WEIGHTS, "norm")
            }
            self._bounds = self._boxes(example[:1], bounds)

    def relevance(self, x: Tensor, unit: Tensor, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What each element of the inputs contributes to the units' responses, and these.

        Args:
            x: inputs [B, *shape].
            unit: of each input, int64 [B].
            values: `alpha`, `epsilon` and `gamma` of each input, [B] each, as far as the rules have them.

        Returns:
            [B, *shape] and [B].
        """
        made, passes = self._forward(x)
        with torch.enable_grad():
            out = made[self.output].detach().requires_grad_()
            response = per_unit(out, self._last_axis).gather(1, unit[:, None])[:, 0]
            (share,) = torch.autograd.grad(response.sum(), out)
        found = {self.output: (out * share).detach()}
        for node in reversed(self.nodes):
            relevance = found.pop(node, None)
            if node is self.input and relevance is not None:
                return relevance, response.detach()
            if relevance is not None:
                for source, part in self._handed_down(node, relevance, made, passes, values):
                    found[source] = found[source] + part if source in found else part
        raise InputError("must depend on its input", key=self.key)

    def _handed_down(
        self, node: fx.Node, relevance: Tensor, made: Values, passes: dict[fx.Node, Any], values: Mapping[str, Tensor]
    ) -> list[tuple[fx.Node, Tensor]]:
        """What each source of an operation gets of its relevance."""
        one = self.operations[node]
        if one.kind == "elementwise":
            (source,) = one.sources
            return [(source, relevance.sum_to_size(made[source].shape))]
        if one.kind == "way":
            leaves, out = passes.pop(node)
            parts = torch.autograd.grad(out, list(leaves.values()), relevance.to(out.dtype), allow_unused=True)
            return [(source, part) for source, part in zip(leaves, parts, strict=True) if part is not None]
        layer, run_through = passes.pop(node)
        step = Step(layer, run_through, relevance, values, self.biases, self._bounds.get(node))
        with torch.no_grad():
            part = RULES[self.rules[node]](step)
        if one.kind == "sum":
            return [
                (source, each.sum_to_size(made[source].shape)) for source, each in zip(one.sources, part, strict=True)
            ]
        return [(one.sources[0], part)]

    def _forward(self, x: Tensor) -> tuple[Values, dict[fx.Node, Any]]:
        """The value of each node, and of operations what goes back through them."""
        made: Values = {self.input: x}
        passes: dict[fx.Node, Any] = {}
        for node in self.nodes:
            one = self.operations.get(node)
            if one is None:
                if node is not self.input and node.op != "output":
                    made[node] = run(self.module, node, made)
            elif one.kind == "elementwise":
                with torch.no_grad():
                    made[node] = run(self.module, node, made)
            elif one.kind == "way":
                with torch.enable_grad():
                    leaves = {source: made[source].detach().requires_grad_() for source in one.sources}
                    out = run(self.module, node, made | leaves)
                made[node], passes[node] = out.detach(), (leaves, out)
            else:
                layer, inputs = self._layer(one, made)
                run_through = pass_of(self.rules[node], layer, inputs)
                made[node] = run_through.y if layer.bias is None else run_through.y + layer.bias
                passes[node] = layer, run_through
        return made, passes

    def _layer(self, one: Operation, made: Values) -> tuple[Layer, Tensor]:
        """An operation as a linear layer, and its inputs; of a sum these are the two side by side, [2, B, ...]."""
        node, source = one.node, made[one.sources[0]]
        if node in self._weights:
            return self._weights[node], source
        if one.kind == "average":
            others = dict(made)
            return Layer(
                lambda x, w: run(self.module, node, {**others, one.sources[0]: x}) * w, source.new_ones(())
            ), source
        both = torch.stack(torch.broadcast_tensors(*(made[part] for part in one.sources)))
        weight = both.new_tensor([1.0, SUMS[name_of(node, None)]]).view(2, *[1] * (both.dim() - 1))
        return Layer(lambda x, w: (x * w).sum(dim=0), weight), both

    def _plain(self, x: Tensor) -> Values:
        """The value of every node."""
        made: Values = {self.input: x}
        for node in self.nodes:
            if node is not self.input and node.op != "output":
                made[node] = run(self.module, node, made)
        return made

    def _same(self, readout: Readout, found: Any, example: Tensor) -> None:
        """The graph gives what the network gives: tracing sees one way, and a network may have several."""
        wanted = readout(example)
        got = per_unit(found, self._last_axis) if isinstance(found, Tensor) else wanted
        got = got if readout.unit is None else got[:, readout.unit]
        if got.shape != wanted.shape or float((got - wanted).abs().max()) > CLOSE * float(wanted.abs().max()):
            rule = "must compute the same when torch.fx has traced it"
            raise InputError(rule, key=self.key, value=type(readout.module).__name__)

    def _operations(self, values: Values) -> dict[fx.Node, Operation]:
        """What everything is that the input decides.

        Raises:
            InputError: something that LRP has no rule for.
        """
        found: dict[fx.Node, Operation] = {}
        for node in self.nodes:
            inputs: list[fx.Node] = []
            fx.map_arg((node.args, node.kwargs), inputs.append)
            sources = [one for one in inputs if one is self.input or one in found]
            if not sources or node.op == "output" or not _has_tensors(values[node]):
                continue
            module = self.module.get_submodule(str(node.target)) if node.op == "call_module" else None
            one = operation(node, module, tuple(sources), path_of(node), key=self.key)
            found[node] = one
        return found

    def _places(self) -> dict[fx.Node, Place]:
        """Every linear layer, and whether others with weights lie before or after it."""
        before, after = set[fx.Node](), set[fx.Node]()
        for node, one in self.operations.items():
            if any(source in before or self._weighs(source) for source in one.sources):
                before.add(node)
        for node, one in reversed(self.operations.items()):
            if node in after or self._weighs(node):
                after.update(one.sources)
        return {
            node: Place(one.path, one.kind, node not in before, node not in after)
            for node, one in self.operations.items()
            if one.kind in LINEAR
        }

    def _weighs(self, node: fx.Node) -> bool:
        return node in self.operations and self.operations[node].kind in WITH_WEIGHTS

    def _boxes(self, example: Tensor, bounds: tuple[float, float] | None) -> dict[fx.Node, Bounds]:
        """The box [1, ...] that the inputs of each layer with this rule lie in."""
        boxed = [node for node, rule in self.rules.items() if rule == "box"]
        if not boxed:
            return {}
        if bounds is None:
            raise InputError("must be given: the rule box needs the least and the greatest input", key="method.bounds")
        ends = [self._plain(torch.full_like(example, end)) for end in bounds]
        found: dict[fx.Node, Bounds] = {}
        for node in boxed:
            (source,) = self.operations[node].sources
            for one in self._way_to(source):
                if not one.affine:
                    rule = "must not be box where an input passes through what is no sum or product with constants"
                    what = f"{name_of(one.node, None)} at '{one.path or '.'}'"
                    raise InputError(rule, key="method.composite", value=what)
            low, high = (made[source] for made in ends)
            found[node] = torch.minimum(low, high), torch.maximum(low, high)
        return found

    def _way_to(self, node: fx.Node) -> list[Operation]:
        """All operations that a value has come through."""
        if node not in self.operations:
            return []
        one = self.operations[node]
        return [one, *(upper for source in one.sources for upper in self._way_to(source))]


def _has_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, (tuple, list)) and any(_has_tensors(one) for one in value))
