"""What each method makes of a sweep's networks and data: one file a method.

A method knows tensors; an explainer knows the sweep: which networks and samples the method works on, what must hold of
them, and what its rows are worth looking at and scoring by.
"""

from __future__ import annotations

from raysweep.engine.explainers.am import AmExplainer
from raysweep.engine.explainers.am_input import ExpertExplainer, InputExplainer
from raysweep.engine.explainers.attribution import CaptumExplainer, LrpExplainer, SensitivityExplainer
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.engine.explainers.images import (
    CamExplainer,
    CentreBoxExplainer,
    GfiExplainer,
    PerturbationExplainer,
)
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.explainers.rde import PursuitExplainer, RdeExplainer
from raysweep.methods import METHODS

EXPLAINERS: dict[str, type[Explainer]] = {
    "am": AmExplainer,
    "am_input": InputExplainer,
    "am_expert": ExpertExplainer,
    "rde": RdeExplainer,
    "rde_pursuit": PursuitExplainer,
    "lrp": LrpExplainer,
    "sensitivity": SensitivityExplainer,
    "attribution": CaptumExplainer,
    "cam": CamExplainer,
    "centre_box": CentreBoxExplainer,
    "gfi": GfiExplainer,
    "meaningful_perturbation": PerturbationExplainer,
    **{name: GanExplainer for name, method in METHODS.items() if method.trains},
}

__all__ = ["EXPLAINERS", "Explainer", "Found"]
