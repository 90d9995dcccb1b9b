"""What a configuration is scored by.

Each score is a number with a 95 % interval from resampling its N examples (paired: all trials share the resamples), the
real data's side being held fixed: `frechet`, `response`, `kid` are distances to real data, lower is better;
`recognition` asks a judge. `ranking` compares trials. Pure NumPy in float64; who computes the responses and features
that go in is the engine's business.
"""

from __future__ import annotations

import re

INCEPTION = "inception-2015-12-05"


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
