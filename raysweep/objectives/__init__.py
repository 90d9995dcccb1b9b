"""What a configuration is scored by.

Each score is a number with a 95 % interval from resampling its N examples (paired: all trials share the resamples), the
real data's side being held fixed: `frechet`, `response`, `kid` are distances to real data, lower is better;
`recognition` asks a judge. `ranking` compares trials. Pure NumPy in float64; who computes the responses and features
that go in is the engine's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

INCEPTION = "inception-2015-12-05"


@dataclass(frozen=True)
class Objective:
    """An objective a sweep file can name: what of the explanations and of the data it compares."""

    name: str
    needs: Literal["responses", "features"]
    meaning: str
    direction: Literal["minimise", "maximise"] = "minimise"


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("response_fd", "responses", "Fréchet distance to the N most extreme real responses"),
        Objective("feature_fd", "features", "Fréchet distance to the features of real data"),
        Objective("kid", "features", "unbiased kernel distance to the features of real data"),
        Objective("fid", "features", f"feature_fd of the {INCEPTION} weights, which the user points to"),
    )
}


def feature_name(source: str, layer: str | None = None) -> str:
    """What the Fréchet distance of these features is called: "fid" only for the 2015-12-05 Inception file.

    "zoo://fashion/judge" gives "fd_fashion_judge", "my.models:build_mobilenet" with layer "features.8" gives
    "fd_mobilenet_features_8", "nets/robust.pt" gives "fd_robust".
    """
    name = re.sub(r"^zoo://", "", source)
    if name == source:
        name = re.split(r"[/\\:]", re.sub(r"\.(pt|pth|ts|safetensors)$", "", source))[-1]
    if name == INCEPTION and layer is None:
        return "fid"
    name = re.sub(r"^(build|load|make|get)_", "", name)
    return re.sub(r"\W+", "_", "_".join(["fd", name, *([layer] if layer else [])]))
