"""What is optimised: one file a method, pure torch, usable in a notebook.

A row method gives `start`, `loss`, `remember` and `explain` (`RowMethod`); how its rows are batched, stepped, shared
and stopped is the engine's affair.
"""

from __future__ import annotations

from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.am_expert import ExpertMaximisation
from raysweep.methods.am_input import InputMaximisation
from raysweep.methods.biggan_am import BigGanAm
from raysweep.methods.cam import Cam
from raysweep.methods.captum import CaptumAttribution
from raysweep.methods.centre_box import CentreBox
from raysweep.methods.gfi import GuidedFeatureInversion
from raysweep.methods.lrp import Lrp
from raysweep.methods.meaningful_perturbation import MeaningfulPerturbation
from raysweep.methods.method import Bound, Method, Rows, State, by_row
from raysweep.methods.probegan import BigGan, Naive, Oracle, ProbeGan
from raysweep.methods.pursuit import MatchingPursuit
from raysweep.methods.rde import RateDistortion
from raysweep.methods.row_method import Loss, RowMethod
from raysweep.methods.sensitivity import Sensitivity

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        ActivationMaximisation,
        InputMaximisation,
        ExpertMaximisation,
        RateDistortion,
        MatchingPursuit,
        Sensitivity,
        Lrp,
        CaptumAttribution,
        Cam,
        CentreBox,
        MeaningfulPerturbation,
        GuidedFeatureInversion,
        ProbeGan,
        Naive,
        Oracle,
        BigGan,
        BigGanAm,
    )
}

__all__ = ["METHODS", "Bound", "Loss", "Method", "RowMethod", "Rows", "State", "by_row"]
