"""A sweep that looks at the class that its generator is not shown is called an oracle, and no other is."""

from __future__ import annotations

import pytest

from raysweep.methods import METHODS
from raysweep.oracle import LOOKS, SHOWN, is_oracle
from raysweep.rules import GANS, OBJECTIVES


@pytest.mark.parametrize("method", GANS)
def test_what_compares_with_the_target_s_real_samples_is_an_oracle(method: str) -> None:
    for name in OBJECTIVES[method]:
        sweep = {"method": {"name": method}, "objective": [{"name": OBJECTIVES[method][0]}, {"name": name}]}
        assert is_oracle(sweep) == (name in ("feature_fd", "kid", "fid") or method == "probegan_oracle"), name


def test_the_methods_that_show_the_target_are_oracles_and_the_methods_agree() -> None:
    assert {name for name, method in METHODS.items() if method.shows_target} == set(SHOWN)
    assert set(LOOKS) <= set(OBJECTIVES["probegan"])


def test_where_no_class_is_left_out_there_is_no_oracle() -> None:
    assert not is_oracle({"method": {"name": "am"}, "objective": [{"name": "feature_fd", "reference": "class"}]})
    assert not is_oracle({"method": {"choice": {"lrp": {"name": "lrp"}}}, "objective": [{"name": "rate_distortion"}]})
