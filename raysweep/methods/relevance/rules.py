"""How a linear layer hands the relevance of its outputs down to its inputs.

With the contributions q_ij = x_i w_ij, their sum z_j = Σ_i q_ij + b_j, and q⁺ = max(q, 0), q⁻ = min(q, 0):

    epsilon     R_i = Σ_j q_ij / (z_j + ε sign z_j) R_j
    gamma       R_i = Σ_j (q_ij + γ q_ij^s) / (z_j + γ z_j^s) R_j,   s the sign of z_j
    alpha_beta  R_i = Σ_j (α q_ij⁺ / z_j⁺ − β q_ij⁻ / z_j⁻) R_j,     z_j^± = Σ_i q_ij^± + b_j^±,  α − β = 1
    z_plus      alpha_beta with α = 1
    box         R_i = Σ_j (q_ij − l_i w_ij⁺ − h_i w_ij⁻) / Σ_i' (…) R_j,   inputs within l ≤ x ≤ h

Bach et al., *On pixel-wise explanations …*, PLoS ONE 2015; Montavon et al., *Explaining nonlinear classification
decisions with deep Taylor decomposition*, 2017 (z^B); Montavon et al., *Layer-wise relevance propagation: an overview*,
2019 (γ). All are exact for inputs and weights of both signs: what is positive is a contribution, not a weight. An
output without contributions of one sign gives all of its relevance to the other, so that nothing is lost or made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

BIASES = ("absorb", "ignore", "spread")
"""What becomes of a bias's share: it stays there, or it has none, or all inputs of its output get equal parts of it.

Where all inputs are 0, as they often are in a depthwise convolution behind a ReLU, an output is its bias alone, and its
relevance a bias's share: it stays there, or all inputs get equal parts of it; ignored, it is lost.
"""

Bounds = tuple[Tensor, Tensor]


@dataclass(eq=False)
class Layer:
    """y = op(x, w) + b, linear in x and in w.

    Args:
        op: inputs [B, ...] and weights -> outputs [B, ...] without the bias.
        weight: what `op` takes.
        bias: such that it is added to outputs; None without one.
        joint: the axes of inputs and of the weight along which more inputs, with weights of their own, may lie; None
            where there are none.
    """

    op: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    bias: Tensor | None = None
    joint: tuple[int, int] | None = None

    @cached_property
    def positive(self) -> Tensor:
        """W⁺."""
        return self.weight.clamp_min(0)

    @cached_property
    def negative(self) -> Tensor:
        """W⁻."""
        return self.weight.clamp_max(0)

    @cached_property
    def signed(self) -> Tensor:
        """W⁺ and W⁻ side by side, for two kinds of input side by side."""
        assert self.joint is not None
        return torch.cat([self.positive, self.negative], dim=self.joint[1])


class Pass:
    """One pass of inputs through a layer without its bias: `y`, and `back`, which takes what outputs get to inputs."""

    def __init__(self, layer: Layer, x: Tensor, weight: Tensor) -> None:
        with torch.enable_grad():
            self._x = x.detach().requires_grad_()
            self._y = layer.op(self._x, weight)
        self.x, self.y = self._x.detach(), self._y.detach()

    def back(self, s: Tensor) -> Tensor:
        """Σ_j w_ij s_j."""
        return torch.autograd.grad(self._y, self._x, s, retain_graph=True)[0]


class Signed:
    """Passes of a layer's positive and of its negative contributions, `up` and `down`; `y` is their sum.

    Inputs that are never negative take two passes, others four.
    """

    def __init__(self, layer: Layer, x: Tensor) -> None:
        both = bool((x < 0).any())
        rise, fall = (x.clamp_min(0), x.clamp_max(0)) if both else (x, x)
        self._ups, self._downs = [Pass(layer, rise, layer.positive)], [Pass(layer, rise, layer.negative)]
        if both:
            self._ups.append(Pass(layer, fall, layer.negative))
            self._downs.append(Pass(layer, fall, layer.positive))
        self.x, self.up, self.down = x, _sum([one.y for one in self._ups]), _sum([one.y for one in self._downs])
        self.y = self.up + self.down

    def back(self, up: Tensor, down: Tensor | None) -> Tensor:
        """Σ_j q_ij⁺ up_j + q_ij⁻ down_j."""
        parts = [one.x * one.back(up) for one in self._ups]
        return _sum(parts if down is None else [*parts, *(one.x * one.back(down) for one in self._downs)])


@dataclass(frozen=True)
class Step:
    """What a rule has to work with.

    Args:
        layer: the linear layer.
        run: its inputs and outputs, as `pass_of` gives them for the rule.
        relevance: of its outputs, [B, ...].
        values: each row's hyper-parameters, [B] each.
        biases: one of `BIASES`.
        bounds: l and h of the inputs, [1, ...]; None where they are not known.
    """

    layer: Layer
    run: Any
    relevance: Tensor
    values: Mapping[str, Tensor]
    biases: str
    bounds: Bounds | None = None

    def value(self, name: str) -> Tensor:
        """A hyper-parameter as it multiplies outputs."""
        return self.values[name].to(self.relevance).view(-1, *[1] * (self.relevance.dim() - 1))

    @property
    def bias(self) -> Tensor:
        """The bias as far as it counts, such that it is added to outputs."""
        bias = self.layer.bias
        return self.relevance.new_zeros(()) if bias is None or self.biases == "ignore" else bias

    def spread(self, share: Tensor, none: Tensor) -> Tensor | float:
        """What inputs get of the relevance [B, ...] that biases took, and of all of it where there is `none` other."""
        if self.biases != "spread" or (self.layer.bias is None and not bool(none.any())):
            return 0.0
        every = Pass(self.layer, torch.ones_like(self.run.x), torch.ones_like(self.layer.weight))
        return every.back(_over(torch.where(none, self.relevance, share), every.y))

    def signed_back(self, up: Tensor, down: Tensor | None, none: Tensor) -> Tensor:
        """What inputs get when positive contributions are multiplied by `up`, negative ones by `down`, biases too."""
        share = self.bias.clamp_min(0) * up
        if down is not None:
            share = share + self.bias.clamp_max(0) * down
        return self.run.back(up, down) + self.spread(share, none)


def epsilon(step: Step) -> Tensor:
    """All contributions alike; ε takes up relevance where they nearly cancel."""
    z = step.run.y + step.bias
    total = z + torch.where(z < 0, -step.value("epsilon"), step.value("epsilon"))
    s = _over(step.relevance, total)
    return step.run.x * step.run.back(s) + step.spread(step.bias * s, total == 0)


def gamma(step: Step) -> Tensor:
    """Contributions of the output's own sign count 1 + γ times."""
    up, down = step.run.up + step.bias.clamp_min(0), step.run.down + step.bias.clamp_max(0)
    rises = step.run.y + step.bias >= 0
    more, one = 1 + step.value("gamma"), torch.ones_like(step.value("gamma"))
    of_up, of_down = torch.where(rises, more, one), torch.where(rises, one, more)
    total = of_up * up + of_down * down
    s = _over(step.relevance, total)
    return step.signed_back(of_up * s, of_down * s, total == 0)


def alpha_beta(step: Step) -> Tensor:
    """Positive and negative contributions apart."""
    return _alpha_beta(step, step.value("alpha"))


def z_plus(step: Step) -> Tensor:
    """Positive contributions alone."""
    return _alpha_beta(step, torch.ones_like(step.relevance[:1]))


def box(step: Step) -> Tensor:
    """Contributions as seen from the corner of the box that is worst for each output; biases count for nothing.

    As (x_i − l_i) w_ij⁺ + (x_i − h_i) w_ij⁻, of which no term is below 0, so that none is lost in a difference.
    """
    assert step.bounds is not None
    x, layer, relevance = step.run.x, step.layer, step.relevance
    rise, fall = (x - bound.to(x) for bound in step.bounds)
    if layer.joint is not None:  # one pass for both
        axis = layer.joint[0]
        both = Pass(layer, torch.cat([rise, fall], dim=axis), layer.signed)
        up, down = (both.x * both.back(_over(relevance, both.y))).chunk(2, dim=axis)
        return up + down
    ups, downs = Pass(layer, rise, layer.positive), Pass(layer, fall, layer.negative)
    s = _over(relevance, ups.y + downs.y)
    return rise * ups.back(s) + fall * downs.back(s)


def _alpha_beta(step: Step, alpha: Tensor) -> Tensor:
    run, relevance = step.run, step.relevance
    up = run.up + step.bias.clamp_min(0)
    if bool((alpha > 1).any()) or bool(((up == 0) & (relevance != 0)).any()):
        down = run.down + step.bias.clamp_max(0)
        of_up = torch.where(down == 0, torch.ones_like(alpha), alpha)
        of_down = torch.where(up == 0, torch.ones_like(alpha), 1 - alpha)
        none = (up == 0) & (down == 0)
        return step.signed_back(of_up * _over(relevance, up), of_down * _over(relevance, down), none)
    return step.signed_back(_over(relevance, up), None, up == 0)


def _over(relevance: Tensor, total: Tensor) -> Tensor:
    """relevance / total; nothing where there is no contribution that could take it."""
    none = total == 0
    return torch.where(none, torch.zeros_like(relevance), relevance / torch.where(none, torch.ones_like(total), total))


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


RULES: dict[str, Callable[[Step], Tensor]] = {rule.__name__: rule for rule in (epsilon, gamma, alpha_beta, z_plus, box)}
NEEDS = {"epsilon": "epsilon", "gamma": "gamma", "alpha_beta": "alpha"}
"""The hyper-parameter of each rule that has one."""


def pass_of(rule: str, layer: Layer, x: Tensor) -> Any:
    """A layer's inputs and outputs as a rule needs them: by the sign of the contributions, or all together."""
    return Signed(layer, x) if rule in ("gamma", "alpha_beta", "z_plus") else Pass(layer, x, layer.weight)
