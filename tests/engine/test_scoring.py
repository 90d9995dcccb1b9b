"""Every score of a milestone against plain loops over the real Fashion-MNIST networks, one image at a time."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import nn

from raysweep.engine.engine import Engine
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import TrialFailed
from raysweep.methods.method import State
from raysweep.methods.noise import normal
from raysweep.models.model import ModelSource
from raysweep.zoo import fashion
from raysweep.zoo.fashion.networks import Classifier, Generator, Judge
from tests.engine.specs import FASHION

N, STEPS, SNEAKER = 6, 5, 7
WEIGHTS = {"lr": 0.1, "prior_weight": 0.02}
CPU = torch.device("cpu")
OWN_JUDGES = """
import torch
from torch import nn


class Map(nn.Module):
    '''Ten classes at 2 x 2 places; class c's mean over them is (c + 1) times the brightness, less c squared.'''

    def forward(self, x):
        bright = 10 * x.mean(dim=(1, 2, 3))
        classes = torch.arange(10)
        mean = bright[:, None] * (classes + 1) - classes**2
        off = torch.tensor([[-1000.0, 1000.0], [500.0, -500.0]])
        return mean[:, :, None, None] + off * (1 - classes)[:, None, None]


class OneLogit(nn.Module):
    def forward(self, x):
        return 10 * x.mean(dim=(2, 3)) - 3


class Loud(nn.Module):
    '''Ten responses beyond all numbers to what has no black pixel, as generated images have none.'''

    def forward(self, x):
        made = x.flatten(1).amin(dim=1) > 0
        return torch.where(made, torch.inf, x.mean(dim=(1, 2, 3)))[:, None].expand(-1, 10)


def build_loud():
    return Loud()


def build_map():
    return Map()


def build_one_logit():
    return OneLogit()
"""


def build(network: nn.Module, name: str) -> nn.Module:
    """A zoo network straight from its file."""
    network.load_state_dict(load_file(str(fashion.FOLDER / f"{name}.safetensors")))
    return network.eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """150 real images, 15 of each class."""
    with np.load(fashion.FOLDER / "test.npz") as stored:
        first = np.concatenate([np.flatnonzero(stored["y"] == label)[:15] for label in range(10)])
        return stored["x"][first]


@pytest.fixture
def spec(tmp_path: Path, images: np.ndarray) -> WorkloadSpec:
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(150) // 15)
    (tmp_path / "own_judges.py").write_text(OWN_JUDGES)
    return replace(
        FASHION,
        judge=ModelSource("zoo://fashion/judge"),
        data="images.npz",
        examples=N,
        objectives=(
            ObjectiveSpec("response_fd"),
            ObjectiveSpec("feature_fd", layer="features.8"),
            ObjectiveSpec("kid", ModelSource("zoo://fashion/judge")),
        ),
        seed=3,
        precision="float64",
        folder=str(tmp_path),
    )


def make_scorer(spec: WorkloadSpec, slots: int = 4) -> Scorer:
    workload = Workload(spec)
    return Scorer(workload, slots, CPU, Path(spec.folder))


def searched(scorer: Scorer) -> State:
    """The rows after a few steps, as a host has them."""
    found: list[Any] = []
    engine = Engine(scorer.workload.methods(1, CPU), 4)
    engine.advance("a", WEIGHTS, scorer.workload.spec.seed, range(N), STEPS, found.append)
    engine.run()
    return found[0]


def scored(spec: WorkloadSpec) -> Scored:
    scorer = make_scorer(spec)
    return scorer.score(searched(scorer), WEIGHTS)


def slow_search(direction: str) -> dict[str, np.ndarray]:
    """The search as a reader of the paper would write it, one example at a time; in float64."""
    generator, classifier = build(Generator(), "generator").double(), build(Classifier(), "classifier").double()
    sign = 1 if direction == "maximise" else -1
    rows = []
    for example in range(N):
        z = normal(torch.tensor([3]), torch.tensor([example]), (64,), stream="latent").requires_grad_()
        adam = torch.optim.Adam([z], lr=WEIGHTS["lr"])
        best = None
        for _ in range(STEPS):
            adam.zero_grad()
            response = classifier(generator(z))[0, SNEAKER]
            if best is None or sign * response.item() > sign * best[0]:
                best = response.item(), z.detach().clone()
            (WEIGHTS["prior_weight"] / 2 * z.square().sum() - sign * response).backward()
            adam.step()
        assert best is not None
        rows.append((best[0], best[1].numpy()[0], generator(best[1])[0].detach().numpy()))
    names = ("response", "latent", "image")
    return {name: np.array(column, np.float64) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def each(network: Any, images: np.ndarray) -> np.ndarray:
    """A network's output [D] for each of the images, asked one by one, in float64."""
    with torch.no_grad():
        return np.array([network(torch.from_numpy(image[None]).double())[0].numpy() for image in images])


def slow_frechet(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(second)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ first @ root).clip(0)).sum()
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * trace)


def slow_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]) for z in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_every_score_is_that_of_a_plain_loop(spec: WorkloadSpec, images: np.ndarray, direction: str) -> None:
    result = scored(replace(spec, direction=direction))
    slow, real = slow_search(direction), images.astype(np.float32) / 255
    classifier, judge = build(Classifier(), "classifier").double(), build(Judge(), "judge").double()

    responses = sorted(each(classifier, real)[:, SNEAKER])
    extreme = np.array(responses[-N:] if direction == "maximise" else responses[:N])
    found = slow["response"]
    shift, spread = found.mean() - extreme.mean(), found.std(ddof=1) - extreme.std(ddof=1)
    assert result.objectives["response_fd"].value == pytest.approx(shift**2 + spread**2, rel=1e-8)

    def maps(x: torch.Tensor) -> torch.Tensor:
        return classifier.features(classifier.standardise(x)).mean(dim=(2, 3))

    expected = slow_frechet(each(maps, slow["image"]), each(maps, real))
    assert result.objectives["feature_fd"].value == pytest.approx(expected, rel=1e-5)

    expected = slow_kid(each(judge.features, slow["image"]), each(judge.features, real))
    assert result.objectives["kid"].value == pytest.approx(expected, rel=1e-5)

    for one in result.objectives.values():
        assert one.low < one.value < one.high
        assert (one.n, one.replicates.shape) == (N, (400,))

    sees = [bool(logits.argmax() == SNEAKER) == (direction == "maximise") for logits in each(judge, slow["image"])]
    interval = stats.binomtest(sum(sees), N).proportion_ci(0.95, method="wilson")
    rate = (result.metrics["recognition"], result.metrics["recognition.low"], result.metrics["recognition.high"])
    assert rate == pytest.approx((sum(sees) / N, interval.low, interval.high))
    assert sum(sees) > 0

    assert result.metrics["response"] == pytest.approx(found.mean(), rel=1e-8)
    prior = -WEIGHTS["prior_weight"] / 2 * np.mean([z @ z for z in slow["latent"]])
    assert result.metrics["prior_term"] == pytest.approx(prior, rel=1e-8)

    np.testing.assert_allclose(result.tensors["explanation"], slow["image"], atol=1e-6)
    np.testing.assert_allclose(result.tensors["latent"], slow["latent"], atol=1e-6)
    np.testing.assert_allclose(result.tensors["response"], found, rtol=1e-8)
    np.testing.assert_array_equal(result.tensors["replicates.kid"], result.objectives["kid"].replicates)


def test_the_first_rows_are_scored_as_they_are_among_all_against_the_same_reference(
    spec: WorkloadSpec, images: np.ndarray
) -> None:
    scorer, first = make_scorer(spec), 3
    rows = searched(scorer)
    whole, part = (scorer.score({k: v[:m] for k, v in rows.items()}, WEIGHTS) for m in (N, first))
    for name in ("explanation", "latent", "response"):
        np.testing.assert_array_equal(part.tensors[name], whole.tensors[name][:first])
    real = images.astype(np.float32) / 255
    responses = sorted(each(build(Classifier(), "classifier").double(), real)[:, SNEAKER])
    extreme, found = np.array(responses[-N:]), part.tensors["response"]
    shift, spread = found.mean() - extreme.mean(), found.std(ddof=1) - extreme.std(ddof=1)
    one = part.objectives["response_fd"]
    assert one.value == pytest.approx(shift**2 + spread**2, rel=1e-8)
    assert one.low <= one.value <= one.high
    assert (one.n, one.replicates.shape) == (first, (400,))


def test_features_are_the_classifiers_penultimate_ones_unless_said_otherwise(
    spec: WorkloadSpec, images: np.ndarray
) -> None:
    found = scored(replace(spec, objectives=(ObjectiveSpec("feature_fd"),))).objectives["feature_fd"]
    hidden = build(Classifier(), "classifier").double().hidden
    slow = slow_search("maximise")["image"]
    expected = slow_frechet(each(hidden, slow), each(hidden, images.astype(np.float32) / 255))
    assert found.value == pytest.approx(expected, rel=1e-5)


def test_explanations_may_be_compared_with_the_targets_class_alone(spec: WorkloadSpec, images: np.ndarray) -> None:
    both = (ObjectiveSpec("feature_fd", reference="class"), ObjectiveSpec("response_fd", reference="class"))
    found = scored(replace(spec, target=7, objectives=both)).objectives
    network, slow = build(Classifier(), "classifier").double(), slow_search("maximise")
    own = images[7 * 15 : 8 * 15].astype(np.float32) / 255
    expected = slow_frechet(each(network.hidden, slow["image"]), each(network.hidden, own))
    assert found["feature_fd"].value == pytest.approx(expected, rel=1e-5)
    highest, responses = np.sort(each(network, own)[:, 7])[-N:], each(network, slow["image"])[:, 7]
    shift, spread = responses.mean() - highest.mean(), responses.std(ddof=1) - highest.std(ddof=1)
    assert found["response_fd"].value == pytest.approx(shift**2 + spread**2, rel=1e-5)


def test_without_a_judge_there_is_no_recognition(spec: WorkloadSpec) -> None:
    assert set(scored(replace(spec, judge=None)).metrics) == {"response", "prior_term"}


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_a_judge_that_gives_maps_is_read_by_their_mean(spec: WorkloadSpec, direction: str) -> None:
    judge = ModelSource("own_judges:build_map")
    result = scored(replace(spec, judge=judge, target=2, direction=direction))
    bright = [10 * image.mean() for image in result.tensors["explanation"]]
    seen = [max(range(10), key=lambda c: b * (c + 1) - c**2) for b in bright]
    share = np.mean([(c == 2) == (direction == "maximise") for c in seen])
    assert 0 < share < 1
    assert result.metrics["recognition"] == pytest.approx(share)


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_a_judge_of_one_logit_is_read_by_its_sign(spec: WorkloadSpec, direction: str) -> None:
    judge = ModelSource("own_judges:build_one_logit")
    result = scored(replace(spec, judge=judge, target=0, direction=direction))
    share = np.mean([(10 * x.mean() > 3) == (direction == "maximise") for x in result.tensors["explanation"]])
    assert 0 < share < 1
    assert result.metrics["recognition"] == pytest.approx(share)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_score_that_is_not_finite_fails_the_trial(spec: WorkloadSpec) -> None:
    only = replace(spec, objectives=(ObjectiveSpec("response_fd"),), judge=None)
    state = searched(make_scorer(only))
    loud = make_scorer(replace(only, classifier=ModelSource("own_judges:build_loud"), target=7))
    with pytest.raises(TrialFailed, match="response_fd is nan, with the interval nan to nan"):
        loud.score(state, WEIGHTS)


def test_scoring_shows_that_it_goes_on_batch_by_batch_and_while_it_waits(spec: WorkloadSpec) -> None:
    batches, waits, scoring = list[None](), threading.Event(), threading.Event()

    def lap() -> None:
        if threading.current_thread().name == "first":
            scoring.set()
            waits.wait(60)
            batches.append(None)
        elif threading.current_thread().name == "second":
            waits.set()

    scorer = Scorer(Workload(spec), 4, CPU, Path(spec.folder), lap)
    asked = searched(scorer), WEIGHTS
    threads = [
        threading.Thread(target=scorer.score, args=asked, name=name, daemon=True) for name in ("first", "second")
    ]
    threads[0].start()
    assert scoring.wait(60)
    threads[1].start()  # it laps although the first has the scorer to itself
    for thread in threads:
        thread.join(60)
    assert waits.is_set()
    assert not any(thread.is_alive() for thread in threads)
    assert len(batches) >= 3 * N / 4


def test_explanations_that_are_not_finite_fail_the_trial(spec: WorkloadSpec) -> None:
    scorer = make_scorer(spec)
    state = searched(scorer)
    state["kept.latent"][2] = torch.nan
    with pytest.raises(TrialFailed, match="explanations are not finite"):
        scorer.score(state, WEIGHTS)


def references(folder: Path | str) -> list[Path]:
    return sorted(Path(folder).glob("reference*"))


def test_the_reference_is_computed_once_and_then_read(spec: WorkloadSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_scorer(spec)._reference
    monkeypatch.setattr(Scorer, "_fit", lambda self, name: pytest.fail("computed again"))
    second = make_scorer(spec)._reference
    assert [path.suffix for path in references(spec.folder)] == [".npz"]
    assert first.keys() == second.keys()
    assert all(np.array_equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    "change",
    [
        {"target": "bag"},
        {"target": None, "layer": "features.8", "unit": 12},
        {"direction": "minimise"},
        {"examples": N + 1},
        {"precision": "float32"},
        {"data": "others.npz"},
        {"classifier": ModelSource("zoo://fashion/judge")},
        {"objectives": (ObjectiveSpec("response_fd"), ObjectiveSpec("feature_fd"))},
        {"target": 7, "objectives": (ObjectiveSpec("response_fd", reference="class"),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_sweep_started_anew_in_the_same_folder_does_not_use_anothers_reference(
    spec: WorkloadSpec, images: np.ndarray, tmp_path: Path, change: dict[str, Any]
) -> None:
    np.savez(tmp_path / "others.npz", x=images[::-1][:100])
    only = replace(spec, objectives=(ObjectiveSpec("response_fd"),))
    make_scorer(only)
    found = make_scorer(replace(only, **change))._reference
    assert len(references(tmp_path)) == 2
    for path in references(tmp_path):
        path.unlink()
    fresh = make_scorer(replace(only, **change))._reference
    assert found.keys() == fresh.keys()
    assert all(np.array_equal(value, fresh[name]) for name, value in found.items())


def test_another_lane_shape_does_not_use_the_reference(spec: WorkloadSpec) -> None:
    only = replace(spec, objectives=(ObjectiveSpec("response_fd"),))
    for slots in (4, 5):
        make_scorer(only, slots)
    assert len(references(spec.folder)) == 2


def test_of_two_hosts_that_start_together_both_use_the_reference_of_the_first_to_finish(
    spec: WorkloadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, fit = replace(spec, objectives=(ObjectiveSpec("response_fd"),)), Scorer._fit
    winners: list[tuple[Scorer, os.stat_result]] = []

    def slightly_off(scorer: Scorer, name: str) -> dict[str, np.ndarray]:
        return {**fit(scorer, name), "mean": np.array([123.0])}

    def overtaken(scorer: Scorer, name: str) -> dict[str, np.ndarray]:
        monkeypatch.setattr(Scorer, "_fit", slightly_off)
        winner = make_scorer(only)
        winners.append((winner, references(only.folder)[0].stat()))
        return fit(scorer, name)

    monkeypatch.setattr(Scorer, "_fit", overtaken)
    loser = make_scorer(only)
    ((winner, written),) = winners
    assert float(loser._reference["response_fd/mean"][0]) == float(winner._reference["response_fd/mean"][0]) == 123.0
    (path,) = references(only.folder)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_file_system_without_hard_links_holds_the_reference(
    spec: WorkloadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    only = replace(spec, objectives=(ObjectiveSpec("response_fd"),))
    assert make_scorer(only)._reference["response_fd/n"] == N
    assert [path.suffix for path in references(only.folder)] == [".npz"]
