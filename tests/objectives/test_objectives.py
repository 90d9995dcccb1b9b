"""Objectives are named by their features."""

from __future__ import annotations

import pytest

from raysweep.objectives import feature_name


@pytest.mark.parametrize(
    ("source", "layer", "name"),
    [
        ("zoo://fashion/judge", None, "fd_fashion_judge"),
        ("my.models:build_mobilenet", "features.8", "fd_mobilenet_features_8"),
        ("nets/robust.pt", None, "fd_robust"),
        ("weights/inception-2015-12-05.pt", None, "fid"),
        ("weights/inception-2015-12-05.pt", "mixed.6", "fd_inception_2015_12_05_mixed_6"),
        ("my.models:inception", None, "fd_inception"),
    ],
)
def test_only_the_2015_inception_file_is_called_fid(source: str, layer: str | None, name: str) -> None:
    assert feature_name(source, layer) == name
