"""A search in a generator that another sweep has trained: how it is scored, and which files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from raysweep.engine.explainers.probegan import WINNER
from raysweep.engine.explainers.trained import names_of
from raysweep.engine.scoring import Scorer
from raysweep.engine.workload_spec import ObjectiveSpec
from raysweep.errors import InputError
from raysweep.explain import explain
from tests.engine.explainers.gans import CPU, Make, gan_workloads, images, network, scored, trained


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return gan_workloads(tmp_path)


def test_a_search_in_another_sweeps_generator_is_scored_like_a_training(make: Make, tmp_path: Path) -> None:
    conditional = make(method="biggan", objectives=(ObjectiveSpec("overall_fd", network(seed=3)),))
    before = scored(conditional, tmp_path)
    save_file({name: before.tensors[name] for name in WINNER if name in before.tensors}, tmp_path / "gan.safetensors")
    workload = make(method="biggan_am", trained="gan.safetensors", objectives=(ObjectiveSpec("classifier_loss"),))
    state = trained(workload, 3, samples=4.0)
    found = Scorer(workload, 1, CPU, tmp_path).score(state, {})
    assert found.metrics["fd.ring"] == pytest.approx(before.metrics["fd.ring"])  # the classes' own
    assert found.metrics["target_fd"] != before.metrics["target_fd"]
    assert found.tensors["embedding"].shape == (1, 4)
    assert workload.stepping["trained"]


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        ("biggan", "ring", "never shown the target, 'ring'; this one was not shown bar"),
        ("probegan_oracle", "bar", "never shown the target, 'bar'; this one was shown every class"),
        ("probegan_naive", "bar", "for each of the 3 classes"),
    ],
)
def test_a_search_for_a_class_that_its_generator_was_shown_is_refused(
    make: Make, tmp_path: Path, method: str, target: str, message: str
) -> None:
    without_bar = make(method=method, objectives=(ObjectiveSpec("classifier_loss"),))
    tensors = scored(without_bar, tmp_path).tensors
    save_file({name: tensors[name] for name in WINNER if name in tensors}, tmp_path / "gan.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        make(method="biggan_am", trained="gan.safetensors", target=target)
    assert (caught.value.key, caught.value.value) == ("method.trained", "gan.safetensors")


def test_classes_in_another_order_than_the_generators_are_refused(make: Make, tmp_path: Path) -> None:
    tensors = scored(
        make(method="biggan", objectives=(ObjectiveSpec("overall_fd", network(seed=3)),)), tmp_path
    ).tensors
    save_file({name: tensors[name] for name in WINNER if name in tensors}, tmp_path / "gan.safetensors")
    for name, seed in (("train.npz", 0), ("test.npz", 1)):
        images(tmp_path / name, y=np.array([0, 2, 1])[np.arange(60) % 3], classes=("ring", "dot", "bar"), seed=seed)
    with pytest.raises(
        InputError, match=r'in their order, ring, dot, bar; this one is of \["ring", "bar", "dot"\]'
    ) as caught:
        make(method="biggan_am", trained="gan.safetensors", target="dot")  # the second, as bar was, which was not shown
    assert caught.value.key == "method.trained"


FITTING = {"generator": 1925, "shape": [[1, 12, 4]], "unseen": [False, True, False]}

"""What three classes of 28 × 28 need, with the fewest channels."""


def generator_file(path: Path, **changes: Any) -> str:
    numbers = FITTING | changes
    arrays = {name: np.array(value) for name, value in numbers.items() if value is not None}
    if arrays["generator"].ndim == 0:
        arrays["generator"] = np.random.default_rng(0).normal(size=(1, int(arrays["generator"]))).astype(np.float32)
    save_file(arrays, path)
    return path.name


def test_a_generator_that_fits_is_taken(make: Make, tmp_path: Path) -> None:
    workload = make(method="biggan_am", trained=generator_file(tmp_path / "gan.safetensors"))
    assert trained(workload, 1, samples=2.0)["embedding"].shape == (1, 4)


@pytest.mark.parametrize(
    ("changes", "message", "value"),
    [
        ({"generator": 1924}, "as many numbers as a generator of 3 classes and 1 × 28 × 28", 1924),
        ({"generator": 1926}, "as many numbers as a generator of 3 classes and 1 × 28 × 28", 1926),
        ({"shape": [[2, 12, 4]]}, "as many numbers as .* width 2, latent 12 and embedding 4", 1925),
        ({"shape": [[2**62, 12, 4]]}, "as many numbers as", 1925),
        ({"shape": [[1, 12]]}, "`shape`.*3 whole numbers", "int64 [1, 2]"),
        ({"shape": [[1.0, 12.0, 4.0]]}, "`shape`.*3 whole numbers", "float64 [1, 3]"),
        ({"shape": [[0, 12, 4]]}, "width.*must be at least 1", 0),
        ({"shape": [[1, 4, 4]]}, "latent.*must be at least 5", 4),
        ({"shape": [[1, 12, -4]]}, "embedding.*must be at least 1", -4),
        ({"generator": np.zeros(1925, dtype=np.float32)}, "`generator`.*float32 or float64", "float32 [1925]"),
        ({"generator": np.zeros((1, 1925), dtype=np.int32)}, "`generator`.*float32 or float64", "int32 [1, 1925]"),
        ({"generator": np.full((1, 1925), np.nan, dtype=np.float32)}, "must be finite", "1925 of 1925 are not"),
        ({"unseen": None}, "never shown", "gan.safetensors"),
        ({"unseen": [False, True]}, "for each of the 3 classes", "gan.safetensors"),
        ({"unseen": [0, 1, 0]}, "for each of the 3 classes", "gan.safetensors"),
        ({"shape": None}, "as raysweep best -o writes it", "gan.safetensors"),
    ],
)
def test_a_generator_that_does_not_fit_is_refused(
    make: Make, tmp_path: Path, changes: dict[str, Any], message: str, value: Any
) -> None:
    file = generator_file(tmp_path / "gan.safetensors", **changes)
    with pytest.raises(InputError, match=message) as caught:
        make(method="biggan_am", trained=file)
    assert (caught.value.key, caught.value.value) == ("method.trained", value)


@pytest.mark.parametrize(("file", "message"), [("none.safetensors", "must be a file"), ("nets_p.py", "cannot be read")])
def test_a_search_needs_a_generator_that_can_be_read(make: Make, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(method="biggan_am", trained=file)


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("probegan", {"shape": None}, "as raysweep best -o writes it"),
        ("probegan", {"generator": 1924}, "as many numbers as a generator of 3 classes and 1 × 28 × 28"),
        ("probegan", {"generator": np.full((1, 1925), np.nan, dtype=np.float32)}, "must be finite"),
        ("probegan", {"class_names": names_of(("ring", "dot", "bar"))}, "classes of the images in their order"),
        ("biggan_am", {}, r"must hold the `embedding` \[1, 4\] that biggan_am has found"),
        ("biggan_am", {"embedding": [[0.0] * 5]}, r"must hold the `embedding` \[1, 4\] that biggan_am has found"),
    ],
)
def test_a_winner_whose_generator_does_not_fit_its_file_is_refused(
    make: Make, tmp_path: Path, method: str, changes: dict[str, Any], message: str
) -> None:
    make()
    document = {
        "name": "best",
        "method": {"name": method, "trained": generator_file(tmp_path / "gan.safetensors", **changes)},
        "models": {"classifier": "nets_p:classifier"},
        "images": "train.npz",
        "data": "test.npz",
        "target": "bar",
        "examples": 2,
        "space": {"steps": 1},
        "objective": "classifier_loss",
    }
    best = tmp_path / "best.yaml"
    best.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(InputError, match=message) as caught:
        explain(best, 2)
    assert str(caught.value).startswith(f"{best}:4: method.trained")
