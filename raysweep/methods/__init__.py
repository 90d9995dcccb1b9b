"""What is optimised: one file a method, pure torch, usable in a notebook.

A row method gives `start`, `loss`, `remember` and `explain` (`RowMethod`); how its rows are batched, stepped, shared
and stopped is the engine's affair.
"""

from __future__ import annotations

from raysweep.methods.row_method import Loss, RowMethod, Rows, by_row

__all__ = ["Loss", "RowMethod", "Rows", "by_row"]
