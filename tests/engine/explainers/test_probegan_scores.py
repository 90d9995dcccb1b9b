"""How generators that a sweep trains are scored: by what they have seen, by a judge, by witnesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raysweep.engine.scoring import Scorer
from raysweep.engine.workload_spec import ObjectiveSpec, WitnessSpec
from raysweep.errors import InputError
from raysweep.models.model import ModelSource
from raysweep.objectives.frechet import Reference, frechet_distance
from raysweep.objectives.recognition import wilson
from tests.engine.explainers.gans import CPU, SHAPES, VALUES, Make, gan_workloads, images, network, scored, trained


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return gan_workloads(tmp_path)


def test_the_objective_is_the_mean_distance_of_the_classes_that_are_seen(make: Make, tmp_path: Path) -> None:
    workload = make()
    found = scored(workload, tmp_path)
    state = {name.removeprefix("kept."): value for name, value in trained(workload).items()}
    (method,) = workload.methods(1, CPU)
    generator = method.looked_at(state)  # type: ignore[attr-defined]
    features, data, distances = workload.features("seen_fd"), workload.data, []
    with torch.no_grad():
        for label in range(3):
            made = method.images_of(generator, state, 0, label, torch.arange(8))  # type: ignore[attr-defined]
            real = torch.from_numpy(data.x[data.y == label])
            distances.append(frechet_distance(features(made).numpy(), Reference.fit(features(real).numpy())))
    assert found.objectives["seen_fd"].value == pytest.approx((distances[0] + distances[2]) / 2, rel=1e-4)
    assert found.metrics["target_fd"] == found.metrics["fd.bar"] == pytest.approx(distances[1], rel=1e-4)
    assert found.metrics["target_fd.low"] <= found.metrics["target_fd"] <= found.metrics["target_fd.high"]


TOGETHER = (ObjectiveSpec("overall_fd", network(seed=3)), ObjectiveSpec("overall_kid", network(seed=3)))


def test_all_classes_that_are_seen_are_compared_as_one_set(make: Make, tmp_path: Path) -> None:
    workload = make(objectives=TOGETHER)
    found = scored(workload, tmp_path)
    features, data = workload.features("overall_fd"), workload.data
    assert data.y is not None
    with torch.no_grad():
        made = torch.from_numpy(found.tensors["classes"][[0, 2]]).flatten(0, 1)
        fake = features(made).double().numpy()
        real = features(torch.from_numpy(np.concatenate([data.x[data.y == 0], data.x[data.y == 2]]))).double().numpy()
    together = found.objectives["overall_fd"]
    assert together.value == pytest.approx(frechet_distance(fake, Reference.fit(real)), rel=1e-4)
    assert together.n == 8

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (one @ other.T / one.shape[1] + 1) ** 3

    apart = np.arange(16)[:, None] % 8 != np.arange(16) % 8  # samples of one latent are no pair
    within, between = (kernel(real[:20], real[:20]), kernel(real[20:], real[20:])), kernel(real[:20], real[20:])
    among = (sum(one[~np.eye(20, dtype=bool)].mean() for one in within) + 2 * between.mean()) / 4
    wanted = kernel(fake, fake)[apart].mean() + among - 2 * kernel(fake, real).mean()
    assert found.objectives["overall_kid"].value == pytest.approx(wanted, rel=1e-4, abs=1e-9)


def test_real_classes_count_alike_however_many_samples_the_data_have(make: Make, tmp_path: Path) -> None:
    images(tmp_path / "test.npz", y=np.array([0] * 30 + [1] * 20 + [2] * 10), seed=1)
    workload = make(objectives=TOGETHER)
    found = scored(workload, tmp_path)
    with pytest.raises(InputError, match="N larger than the reference: the data have 10 examples to compare with"):
        make(objectives=TOGETHER, examples=11)
    with torch.no_grad():
        made = torch.from_numpy(found.tensors["classes"][[0, 2]]).flatten(0, 1)
        drawn = np.sort(np.random.default_rng(0).permutation(30)[:10])  # of the first class, not the first of it
        real = torch.from_numpy(np.concatenate([workload.data.x[drawn], workload.data.x[50:]]))
        fake, true = (workload.features("overall_fd")(one).double().numpy() for one in (made, real))
    assert found.objectives["overall_fd"].value == pytest.approx(frechet_distance(fake, Reference.fit(true)), rel=1e-4)


def test_the_judge_says_of_each_class_how_often_it_sees_it(make: Make, tmp_path: Path) -> None:
    workload = make()
    found = scored(workload, tmp_path)
    assert workload.judge is not None
    for label, shape in enumerate(SHAPES):
        with torch.no_grad():
            says = workload.judge.module(torch.from_numpy(found.tensors["classes"][label])).argmax(1) == label
        count = int(says.sum())
        ends = found.metrics[f"recognition.{shape}.low"], found.metrics[f"recognition.{shape}.high"]
        assert (found.metrics[f"recognition.{shape}"], ends) == (count / 8, pytest.approx(wilson(count, 8)))
    assert found.metrics["recognition"] == found.metrics["recognition.bar"]
    naive = make(method="probegan_naive", objectives=(ObjectiveSpec("classifier_loss"),))
    made = {name for name in scored(naive, tmp_path).metrics if name.startswith("recognition.")}
    assert made == {f"recognition{shape}.{end}" for shape in ("", ".bar") for end in ("low", "high")} | {
        "recognition.bar"
    }


def test_a_judge_is_asked_for_the_classes_that_it_knows(make: Make, tmp_path: Path) -> None:
    clothes = ("bag", "hat", "trouser")
    images(tmp_path / "train.npz", classes=clothes)
    images(tmp_path / "test.npz", classes=clothes, seed=1)
    workload = make(target="bag", judge=ModelSource("zoo://fashion/judge"))
    assert workload.judge is not None
    assert workload.judge.units is not None
    assert workload.judged_classes == {0: workload.judge.units.index("bag"), 2: workload.judge.units.index("trouser")}
    assert make(target="bag", judge=None).judged_classes == {}


def test_what_was_trained_in_bfloat16_is_shown_and_scored_in_float32(make: Make, tmp_path: Path) -> None:
    full, half = make(), make(precision="bfloat16")
    assert half.stepping != full.stepping  # so no row of one precision is continued in the other
    one, other = trained(full), trained(half)
    assert not torch.equal(one["generator"], other["generator"])
    found = [Scorer(each, 1, CPU, tmp_path).score(other, VALUES) for each in (full, half)]
    assert found[0].metrics == found[1].metrics
    np.testing.assert_array_equal(found[0].tensors["explanation"], found[1].tensors["explanation"])


def test_recognition_confidence_and_losses_are_recorded(make: Make, tmp_path: Path) -> None:
    workload = make()
    found = scored(workload, tmp_path)
    with torch.no_grad():
        logits = workload.classifier.module(torch.from_numpy(found.tensors["explanation"]))
    chance = torch.softmax(logits, dim=1)[:, 1]
    assert found.metrics["confidence"] == pytest.approx(float(chance.mean()), rel=1e-4)
    assert found.objectives["classifier_loss"].value == pytest.approx(float(-chance.log().mean()), rel=1e-4)
    assert 0 <= found.metrics["recognition.low"] <= found.metrics["recognition.high"] <= 1
    assert {"generator.classifier", "discriminator.penalty"} <= set(found.metrics)


def test_the_loss_of_a_probability_too_small_for_a_number_is_the_logits_own(make: Make, tmp_path: Path) -> None:
    workload = make(classifier=network("Loud"))
    found = scored(workload, tmp_path)
    with torch.no_grad():
        logits = workload.classifier.module(torch.from_numpy(found.tensors["explanation"])).double()
    wanted = torch.nn.functional.cross_entropy(logits, torch.ones(8, dtype=torch.int64))
    assert wanted > 1000
    assert found.objectives["classifier_loss"].value == pytest.approx(float(wanted), rel=1e-4)


def test_witnesses_say_of_each_class_how_often_they_see_what_they_look_for(make: Make, tmp_path: Path) -> None:
    seen = WitnessSpec("light", network("lighter")), WitnessSpec("bar", network(seed=3), 1)
    found = scored(make(witnesses=seen), tmp_path)
    images = dict(zip(SHAPES, torch.from_numpy(found.tensors["classes"]), strict=True))
    judge = make().judge
    assert judge is not None
    for name, says in (("light", lambda x: x.mean((1, 2, 3)) > 0.5), ("bar", lambda x: judge.module(x).argmax(1) == 1)):
        for shape, made in images.items():
            assert found.metrics[f"witness.{name}.{shape}"] == pytest.approx(float(says(made).double().mean()))
        count = int(says(torch.from_numpy(found.tensors["explanation"])).sum())
        ends = found.metrics[f"witness.{name}.low"], found.metrics[f"witness.{name}.high"]
        assert (found.metrics[f"witness.{name}"], ends) == (count / 8, pytest.approx(wilson(count, 8)))
    assert found.metrics["witness.bar"] == found.metrics["recognition"]


def test_a_witness_changes_nothing_but_what_is_recorded(make: Make, tmp_path: Path) -> None:
    light = WitnessSpec("light", network("lighter"))
    without, having = make(), make(witnesses=(light,))
    before, after = scored(without, tmp_path / "one"), scored(having, tmp_path / "two")
    assert {name: after.metrics[name] for name in before.metrics} == before.metrics
    assert having.stepping == without.stepping
    assert having.identity["models.witnesses.light"]


@pytest.mark.parametrize(
    ("witness", "message"),
    [
        (WitnessSpec("a", network()), "must say which of 3 outputs is looked for"),
        (WitnessSpec("a", network("lighter"), 0), "must be left out: there is one output"),
        (WitnessSpec("a", network(), 3), "index of an output"),
        (WitnessSpec("a", ModelSource("zoo://fashion/regular"), "shoe"), "must be one of the classes"),
        (WitnessSpec("a", network("squashed"), 0), "softmax"),
    ],
)
def test_a_witness_that_cannot_say_is_refused(make: Make, witness: WitnessSpec, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(witnesses=(witness,))
    assert str(caught.value.key).startswith("models.witnesses.a")


def test_selection_does_not_look_at_the_targets_real_images(make: Make, tmp_path: Path) -> None:
    objectives = (ObjectiveSpec("seen_fd", network(seed=3)), *TOGETHER, ObjectiveSpec("classifier_loss"))
    before = scored(make(objectives=objectives), tmp_path / "one").objectives
    with np.load(tmp_path / "test.npz") as stored:
        arrays = dict(stored)
    arrays["x"][arrays["y"] == 1] = 0.5
    np.savez(tmp_path / "test.npz", **arrays)
    after = scored(make(objectives=objectives), tmp_path / "two").objectives
    assert {name: score.value for name, score in after.items()} == {name: score.value for name, score in before.items()}


def test_a_judge_measures_every_class_also_where_nothing_is_chosen_by_them(make: Make, tmp_path: Path) -> None:
    naive = make(method="probegan_naive", objectives=(ObjectiveSpec("classifier_loss"),))
    metrics = scored(naive, tmp_path).metrics
    assert "target_fd" in metrics
    assert "fd.ring" not in metrics  # it makes nothing but the target


def test_a_judge_without_features_is_refused_where_classes_are_compared_in_them(make: Make) -> None:
    objectives = (ObjectiveSpec("classifier_loss"),)
    with pytest.raises(InputError, match=r"layer must be one that runs.*spare.*last Linear") as found:
        make(judge=network("Spare"), objectives=objectives)
    assert found.value.key == "models.judge"
    make(judge=network("Spare"))  # an objective says in whose features
    make(method="am_input", images=None, judge=network("Spare"), objectives=(ObjectiveSpec("response_fd"),))


def test_the_oracle_is_chosen_by_all_classes_for_it_sees_them(make: Make, tmp_path: Path) -> None:
    found = scored(make(method="probegan_oracle"), tmp_path)
    distances = [found.metrics[f"fd.{name}"] for name in SHAPES]
    assert found.objectives["seen_fd"].value == pytest.approx(sum(distances) / 3)
