"""LRP as the papers write it: one output and one input after the other, over dense matrices. Slow, and obvious."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """A part of a toy network of one sample.

    Args:
        kind: "linear" (also convolutions and averages), "elementwise", "way" or "max"; "residual" has `branches` that
            are summed, of which one without stages is the input itself.
        rule: of what is linear, and of the sum of branches.
    """

    kind: str
    module: nn.Module | None = None
    rule: str = ""
    branches: tuple[tuple[Stage, ...], ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


def forward(stages: Sequence[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        if stage.kind == "residual":
            x = sum((forward(branch, x) for branch in stage.branches), torch.zeros(()))
        else:
            assert stage.module is not None
            x = stage.module(x[None])[0]
    return x


def slow_lrp(stages: Sequence[Stage], x: Tensor, relevance: Tensor, biases: str) -> Tensor:
    """The relevance of a sample's elements, from that of the outputs."""
    inputs = [x]
    for stage in stages:
        inputs.append(forward([stage], inputs[-1]))
    for stage, given in zip(reversed(stages), reversed(inputs[:-1]), strict=True):
        relevance = _back(stage, given, relevance, biases)
    return relevance


def _back(stage: Stage, x: Tensor, relevance: Tensor, biases: str) -> Tensor:
    if stage.kind == "elementwise":
        return relevance.view_as(x)
    if stage.kind == "residual":
        made = [forward(branch, x) for branch in stage.branches]
        parts = [torch.zeros_like(one) for one in made]
        for place in range(relevance.numel()):
            terms, total = [float(one.flatten()[place]) for one in made], float(relevance.flatten()[place])
            shares = _shares(stage, terms, 0.0, total)
            if biases == "spread" and not _taken(stage, terms, 0.0):
                shares = [total / len(terms)] * len(terms)
            for part, share in zip(parts, shares, strict=True):
                part.view(-1)[place] = share
        back = [slow_lrp(branch, x, part, biases) for branch, part in zip(stage.branches, parts, strict=True)]
        return sum(back, torch.zeros_like(x))
    assert stage.module is not None
    if stage.kind in ("way", "max"):
        found, numbers = torch.zeros(x.numel(), dtype=x.dtype), torch.arange(x.numel(), dtype=x.dtype)
        out = stage.module(x[None])[0]
        where = stage.module(numbers.view_as(x)[None])[0] if stage.kind == "way" else _places_of(out, x)
        for place, share in zip(where.flatten().long().tolist(), relevance.flatten().tolist(), strict=True):
            found[place] += share
        return found.view_as(x)
    matrix, bias = dense(stage.module, x)
    links = connected(stage.module, x).tolist()
    weights, elements = matrix.tolist(), x.flatten().tolist()
    found = [0.0] * x.numel()
    for j, total in enumerate(relevance.flatten().tolist()):
        b = float(bias[j]) if biases != "ignore" else 0.0
        terms = [weight * element for weight, element in zip(weights[j], elements, strict=True)]
        shares = _shares(stage, terms, b, total, weights[j])
        if biases == "spread" and stage.rule != "box":
            reached = [i for i in range(x.numel()) if links[j][i]]
            left = _bias_share(stage, terms, b, total) if _taken(stage, terms, b) else total
            for i in reached:
                shares[i] += left / len(reached)
        for i, share in enumerate(shares):
            found[i] += share
    return torch.tensor(found, dtype=x.dtype).view_as(x)


def _shares(stage: Stage, terms: list[float], b: float, total: float, row: list[float] | None = None) -> list[float]:
    """What each of an output's contributions gets of its relevance."""
    if stage.rule == "box":
        assert row is not None
        lows, highs = (bound.flatten().tolist() for bound in stage.values["bounds"])
        corners = [low * max(w, 0.0) + high * min(w, 0.0) for w, low, high in zip(row, lows, highs, strict=True)]
        terms = [q - corner for q, corner in zip(terms, corners, strict=True)]
        return [q / sum(terms) * total if sum(terms) else 0.0 for q in terms]
    up, down = _factors(stage, terms, b, total)
    return [max(q, 0.0) * up + min(q, 0.0) * down for q in terms]


def _taken(stage: Stage, terms: list[float], b: float) -> bool:
    """Whether there is a contribution, or an ε, that takes relevance."""
    return any((*terms, b)) or (stage.rule == "epsilon" and stage.values["epsilon"] > 0)


def _bias_share(stage: Stage, terms: list[float], b: float, total: float) -> float:
    up, down = _factors(stage, terms, b, total)
    return max(b, 0.0) * up + min(b, 0.0) * down


def _factors(stage: Stage, terms: list[float], b: float, total: float) -> tuple[float, float]:
    """What positive and negative contributions are multiplied by."""
    z = sum(terms) + b
    up, down = sum(max(q, 0.0) for q in (*terms, b)), sum(min(q, 0.0) for q in (*terms, b))
    if stage.rule == "epsilon":
        stabilised = z + (-1 if z < 0 else 1) * stage.values["epsilon"]
        return (total / stabilised,) * 2 if stabilised else (0.0, 0.0)
    if stage.rule == "gamma":
        of_up, of_down = (1 + stage.values["gamma"], 1.0) if z >= 0 else (1.0, 1 + stage.values["gamma"])
        whole = of_up * up + of_down * down
        return (of_up * total / whole, of_down * total / whole) if whole else (0.0, 0.0)
    alpha = stage.values["alpha"] if stage.rule == "alpha_beta" else 1.0
    if not up or not down:
        alpha = 1.0 if up else 0.0
    return alpha * total / up if up else 0.0, -(alpha - 1) * total / down if down else 0.0


def dense(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix [outputs, inputs] and the bias of what is linear, found by probing it with unit vectors."""
    units = torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
    bias = module(torch.zeros_like(x)[None]).flatten()
    return (module(units).flatten(1) - bias).T, bias


def connected(module: nn.Module, x: Tensor) -> Tensor:
    """Which inputs reach which outputs, whatever the weights are."""
    ones = copy.deepcopy(module)
    for parameter in ones.parameters():
        parameter.data.fill_(1.0)
    matrix, _ = dense(ones, x)
    return matrix != 0


def _places_of(out: Tensor, x: Tensor) -> Tensor:
    """Where in x each maximum is from; all of x differ."""
    flat = x.flatten().tolist()
    return torch.tensor([flat.index(value) for value in out.flatten().tolist()])
