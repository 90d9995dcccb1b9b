"""Which rule each layer gets: an ordered list of (layers, rule), of which the first that fits counts.

The idea of composites as data is zennit's (Anders et al., 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from raysweep.errors import InputError, did_you_mean
from raysweep.methods.relevance.rules import RULES

KINDS = ("dense", "convolution", "norm", "average", "sum")
"""Linear layers by what they are; a sum is where branches meet."""
PLACES = ("first", "last", "any")
"""Linear layers by where they are: no layer with weights lies before the first ones, or after the last ones."""

Composite = tuple[tuple[str, str], ...]

COMPOSITES: dict[str, Composite] = {
    **{rule: (("any", rule),) for rule in ("epsilon", "gamma", "alpha_beta", "z_plus")},
    "epsilon_z_plus": (("dense", "epsilon"), ("any", "z_plus")),
    "epsilon_alpha_beta": (("dense", "epsilon"), ("any", "alpha_beta")),
    "alpha_beta_box": (("first", "box"), ("any", "alpha_beta")),
    "epsilon_z_plus_box": (("first", "box"), ("dense", "epsilon"), ("any", "z_plus")),
    "epsilon_alpha_beta_box": (("first", "box"), ("dense", "epsilon"), ("any", "alpha_beta")),
    "epsilon_gamma_box": (("first", "box"), ("dense", "epsilon"), ("any", "gamma")),
}
"""Those with a name."""


@dataclass(frozen=True)
class Place:
    """A linear layer as composites see it.

    Args:
        path: its name in the network; of what is no module, the module that it is in.
        kind: one of `KINDS`.
        first, last: no layer with weights lies before it, or after it.
    """

    path: str
    kind: str
    first: bool
    last: bool

    def fits(self, layers: str) -> bool:
        """Whether it is one of these: a kind, a place, or a path in which * stands for anything."""
        if layers in KINDS:
            return layers == self.kind
        if layers in PLACES:
            weights = self.kind in ("dense", "convolution")
            return layers == "any" or (weights and (self.first if layers == "first" else self.last))
        return fnmatchcase(self.path, layers)


def composite_of(given: str | Sequence[Any], *, key: str = "method.composite") -> Composite:
    """A composite by its name, or as a list of {layers: rule}.

    Raises:
        InputError: no such composite or rule, or layers with box that are not the first.
    """
    if isinstance(given, str):
        if given not in COMPOSITES:
            raise InputError("no such composite", key=key, value=given, suggestion=did_you_mean(given, COMPOSITES))
        return COMPOSITES[given]
    found = []
    for index, one in enumerate(given):
        pair = next(iter(one.items())) if isinstance(one, dict) and len(one) == 1 else one
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise InputError("must be one {layers: rule}, as {dense: epsilon}", key=f"{key}.{index}", value=one)
        layers, rule = pair
        if rule not in RULES:
            hint = did_you_mean(rule, RULES)
            raise InputError("no such rule of LRP", key=f"{key}.{index}", value=rule, suggestion=hint)
        if rule == "box" and layers != "first":
            rule = "must be first with box, which needs inputs that are bounded"
            raise InputError(rule, key=f"{key}.{index}", value=layers, suggestion="Write {first: box}")
        found.append((layers, rule))
    if not found or found[-1][0] != "any":
        raise InputError("must end with {any: rule}, for layers that nothing else fits", key=key, value=given)
    return tuple(found)


def rule_of(composite: Composite, place: Place) -> str:
    """The rule that a layer gets."""
    return next(rule for layers, rule in composite if place.fits(layers))


def check_paths(composite: Composite, places: Sequence[Place], *, key: str = "method.composite") -> None:
    """Every path of a composite is one of the network's.

    Raises:
        InputError: one that fits no layer.
    """
    for index, (layers, _) in enumerate(composite):
        if layers not in (*KINDS, *PLACES) and not any(place.fits(layers) for place in places):
            paths = list(dict.fromkeys(place.path for place in places))
            hint = f"Layers: {', '.join((*KINDS, *PLACES, *paths))}"
            raise InputError(
                "must fit a linear layer of the network", key=f"{key}.{index}", value=layers, suggestion=hint
            )
