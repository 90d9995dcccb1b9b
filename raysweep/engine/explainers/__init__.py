"""What each method makes of a sweep's networks and data: one file a method.

A method knows tensors; an explainer knows the sweep: which networks and samples the method works on, what must hold of
them, and what its rows are worth looking at and scoring by.
"""

from __future__ import annotations

from raysweep.engine.explainers.am import AmExplainer
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.explainers.rde import PursuitExplainer, RdeExplainer

EXPLAINERS: dict[str, type[Explainer]] = {
    "am": AmExplainer,
    "rde": RdeExplainer,
    "rde_pursuit": PursuitExplainer,
    **dict.fromkeys(("probegan", "probegan_naive", "probegan_oracle", "biggan", "biggan_am"), GanExplainer),
}

__all__ = ["EXPLAINERS", "Explainer", "Found"]
