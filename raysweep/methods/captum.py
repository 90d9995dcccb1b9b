"""Attributions by Captum (Kokhlikyan et al., 2020, arXiv:2009.07896), the extra `raysweep[captum]`.

saliency              ∂f/∂x
integrated_gradients  (x − x₀) ∫₀¹ ∂f/∂x (x₀ + t (x − x₀)) dt   (Sundararajan, Taly, Yan, ICML 2017)
guided_backprop       ∂f/∂x with negative gradients stopped at each ReLU   (Springenberg et al., 2015)
occlusion             the drop of f when a window is replaced by x₀   (Zeiler, Fergus, ECCV 2014)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.methods.attribution import Attribution
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows, by_row

NEEDS = {"integrated_gradients": ("path_steps",), "occlusion": ("window", "stride")}
"""The hyper-parameters of each algorithm that has some."""


class CaptumAttribution(Attribution):
    """One of Captum's algorithms.

    Args:
        masking: as of every attribution.
        algorithm: its name, as above.
        baseline: every element of x₀.
    """

    name = "attribution"
    hyperparameters = {  # noqa: RUF012
        "path_steps": Bound(1, whole=True, default=50, usual=8),
        "window": Bound(1, whole=True, default=4, usual=4),
        "stride": Bound(1, whole=True, default=2, usual=2),
    }

    def __init__(self, masking: Masking, algorithm: str, baseline: float = 0.0) -> None:
        super().__init__(masking)
        parts: list[Any] = [part for part in masking.scores.modules() if hasattr(part, "inplace")]
        for part in parts:
            part.inplace = False  # what works in place cannot be hooked
        self.algorithm, self.baseline = algorithm, baseline
        if algorithm == "guided_backprop":
            with_relus(masking.scores)
        self._attribute = captum_algorithm(algorithm, masking.scores)

    @classmethod
    def hyperparameters_of(cls, options: dict[str, Any]) -> dict[str, Bound]:
        """Those of the algorithm."""
        return {name: cls.hyperparameters[name] for name in NEEDS.get(options["algorithm"], ())}

    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Captum takes one setting at a time, so each that is in the lane takes a pass of its own, with all rows."""
        with torch.no_grad():
            response = self.masking.scores(x).gather(1, unit[:, None])[:, 0]
        names = NEEDS.get(self.algorithm, ())
        own = torch.stack([rows[name] for name in names], dim=1) if names else torch.ones(len(x), 1, device=x.device)
        found = torch.zeros_like(x)
        for setting in own.unique(dim=0):
            numbers = [int(number) for number in setting.tolist()]
            if all(numbers):  # padding has none
                heat = self._of_setting(x, unit, numbers)
                found = by_row((own == setting).all(dim=1), heat, found)
        return found, response

    def _of_setting(self, x: Tensor, unit: Tensor, numbers: list[int]) -> Tensor:
        options: dict[str, Any] = {}
        if self.algorithm == "saliency":
            options = {"abs": False}
        elif self.algorithm == "integrated_gradients":
            options = {"baselines": self.baseline, "n_steps": numbers[0], "internal_batch_size": len(x)}
        elif self.algorithm == "occlusion":
            window, stride = numbers
            channels, *axes = x.shape[1:]
            options = {"baselines": self.baseline, "sliding_window_shapes": (channels, *[window] * len(axes))}
            options["strides"] = (channels, *[stride] * len(axes))
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it hooks, and that it sets requires_grad
            found: Tensor = self._attribute(x.detach().clone().requires_grad_(), target=unit, **options)
        return found.detach()


def with_relus(network: nn.Module) -> None:
    """Make two steps of each ReLU6 of a network, in place: guided backprop finds only modules that are a ReLU.

    Raises:
        InputError: it has neither, and what is found would be the plain gradient.
    """
    for parent in list(network.modules()):
        for name, part in parent.named_children():
            if isinstance(part, nn.ReLU6):
                setattr(parent, name, nn.Sequential(nn.ReLU(), nn.Hardtanh(0, 6)))
    if not any(isinstance(part, nn.ReLU) for part in network.modules()):
        rule = "must have ReLU or ReLU6 modules for guided backprop, which stops negative gradients there"
        raise InputError(rule, key="models.classifier", value=type(network).__name__)


def captum_algorithm(algorithm: str, scores: Any) -> Callable[..., Any]:
    """What Captum attributes with.

    Raises:
        InputError: Captum is not installed.
    """
    try:
        from captum import attr
    except ImportError:
        rule = "needs Captum, which is not installed"
        hint = "pip install 'raysweep[captum]', here and on every machine of the cluster"
        raise InputError(rule, key="method.name", value="attribution", suggestion=hint) from None
    kinds = {
        "saliency": attr.Saliency,
        "integrated_gradients": attr.IntegratedGradients,
        "guided_backprop": attr.GuidedBackprop,
        "occlusion": attr.Occlusion,
    }
    attribute: Callable[..., Any] = kinds[algorithm](scores).attribute
    return attribute
