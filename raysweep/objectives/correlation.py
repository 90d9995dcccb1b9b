"""Correlation, row by row."""

from __future__ import annotations

import torch
from torch import Tensor


def correlations(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's r of the rows of [B, n] and [B, n], float64 [B]; 0 where a row is the same throughout."""
    varies = ~(_flat(one) | _flat(other))
    one, other = (rows.double() - rows.double().mean(dim=1, keepdim=True) for rows in (one, other))
    length = (one.square().sum(dim=1) * other.square().sum(dim=1)).sqrt()
    return torch.where(varies & (length > 0), (one * other).sum(dim=1) / length, 0.0).clamp(-1, 1)


def rank_correlations(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's ρ of the rows of [B, n] and [B, n], float64 [B].

    Equal numbers share the mean of their ranks. Of two rows that are both the same throughout it is 1, of one such row
    and another one 0.
    """
    found = correlations(_ranks(one), _ranks(other))
    return torch.where(_flat(one) & _flat(other), 1.0, found)


def _ranks(rows: Tensor) -> Tensor:
    """From 1 to n, float64 [B, n]."""
    ordered, rows = rows.sort(dim=1).values.contiguous(), rows.contiguous()
    below = torch.searchsorted(ordered, rows)
    return (below + torch.searchsorted(ordered, rows, right=True) + 1).double() / 2


def _flat(rows: Tensor) -> Tensor:
    return rows.amin(dim=1) == rows.amax(dim=1)
