"""What is optimised: one file a method, pure torch, usable in a notebook.

A row method gives `start`, `loss`, `remember` and `explain` (`RowMethod`); how its rows are batched, stepped, shared
and stopped is the engine's affair.
"""

from __future__ import annotations

from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.rde import RateDistortion
from raysweep.methods.row_method import Bound, Loss, RowMethod, Rows, by_row

METHODS: dict[str, type[RowMethod]] = {"am": ActivationMaximisation, "rde": RateDistortion}

__all__ = ["METHODS", "Bound", "Loss", "RowMethod", "Rows", "by_row"]
