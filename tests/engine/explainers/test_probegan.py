"""Generators that a sweep trains, on a user's own images: what is scored, what is shown, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from raysweep.champion import carry
from raysweep.engine.engine import Engine
from raysweep.engine.explainers.probegan import WINNER, GanExplainer
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.showing import Showing
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WitnessSpec, WorkloadSpec
from raysweep.errors import InputError, TrialFailed
from raysweep.methods.gan import GanMethod
from raysweep.methods.method import State
from raysweep.models.model import ModelSource
from raysweep.objectives.frechet import Reference, frechet_distance
from raysweep.objectives.recognition import wilson

NETS = """
import torch
from torch import nn

def classifier(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, outputs))

class Lighter(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) - 0.5

def lighter():
    return Lighter()

def squashed():
    return nn.Sequential(classifier(), nn.Softmax(dim=1))
"""
SHAPES = ("ring", "bar", "dot")
VALUES = {"width": 1.0, "latent": 12.0, "embedding": 4.0, "batch": 4.0, "discriminator_steps": 1.0, "ema_start": 0.0}
CPU = torch.device("cpu")
Make = Callable[..., Workload]


def network(source: str = "classifier", **args: Any) -> ModelSource:
    return ModelSource(f"nets_p:{source}", args=args)


def images(
    path: Path, size: int = 28, y: np.ndarray | None = None, classes: tuple[str, ...] = SHAPES, seed: int = 0
) -> str:
    x = np.random.default_rng(seed).random((60, 1, size, size), dtype=np.float32)
    np.savez(path, x=x, y=np.arange(60) % 3 if y is None else y, classes=np.array(classes))
    return path.name


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload that trains on 60 images of 28 × 28 and is compared with 60 others."""
    (tmp_path / "nets_p.py").write_text(NETS)
    images(tmp_path / "train.npz")
    images(tmp_path / "test.npz", seed=1)

    def build(checked: bool = True, **changes: Any) -> Workload:
        keys: dict[str, Any] = {
            "method": "probegan",
            "options": {},
            "classifier": network(),
            "judge": network(seed=3),
            "data": "test.npz",
            "images": "train.npz",
            "media": None,
            "target": "bar",
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 8,
            "objectives": (ObjectiveSpec("seen_fd", network(seed=3)), ObjectiveSpec("classifier_loss")),
            "seed": 0,
            "precision": "float32",
            "folder": str(tmp_path),
        }
        workload = Workload(WorkloadSpec(**(keys | changes)))
        if checked:
            workload.check()
        return workload

    return build


def trained(workload: Workload, steps: int = 2, **values: float) -> State:
    engine, found = Engine(workload.methods(1, CPU), 1), list[Any]()
    engine.advance("a", {**VALUES, **values}, workload.spec.seed, range(1), steps, found.append)
    engine.run()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]  # type: ignore[no-any-return]


def scored(workload: Workload, folder: Path) -> Scored:
    folder.mkdir(exist_ok=True)
    return Scorer(workload, 1, CPU, folder).score(trained(workload), VALUES)


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


def test_people_see_every_class_and_which_was_never_shown(make: Make, tmp_path: Path) -> None:
    tensors = scored(make(), tmp_path).tensors
    assert tensors["classes"].shape == (3, 8, 1, 28, 28)
    assert tensors["unseen"].tolist() == [False, True, False]
    np.testing.assert_array_equal(tensors["classes"][1], tensors["explanation"])
    assert not scored(make(method="probegan_oracle"), tmp_path).tensors["unseen"].any()


def test_selection_does_not_look_at_the_targets_real_images(make: Make, tmp_path: Path) -> None:
    objectives = (ObjectiveSpec("seen_fd", network(seed=3)), *TOGETHER, ObjectiveSpec("classifier_loss"))
    before = scored(make(objectives=objectives), tmp_path / "one").objectives
    with np.load(tmp_path / "test.npz") as stored:
        arrays = dict(stored)
    arrays["x"][arrays["y"] == 1] = 0.5
    np.savez(tmp_path / "test.npz", **arrays)
    after = scored(make(objectives=objectives), tmp_path / "two").objectives
    assert {name: score.value for name, score in after.items()} == {name: score.value for name, score in before.items()}


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


def test_a_judge_measures_every_class_also_where_nothing_is_chosen_by_them(make: Make, tmp_path: Path) -> None:
    naive = make(method="probegan_naive", objectives=(ObjectiveSpec("classifier_loss"),))
    metrics = scored(naive, tmp_path).metrics
    assert "target_fd" in metrics
    assert "fd.ring" not in metrics  # it makes nothing but the target


def test_lanes_share_the_images_that_are_shown_and_whose_range_is_theirs_alone(make: Make, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 2, (60, 1, 28, 28)).astype(np.float32)
    y = np.arange(60) % 3
    x[y == 1] += 50  # nothing of the target is to be known, not even how large its numbers are
    for name in ("loud.npz", "real.npz"):
        np.savez(tmp_path / name, x=x, y=y, classes=np.array(SHAPES))
    one, other = (method for method in make(images="loud.npz", data="real.npz", media="array").methods(2, CPU))
    assert isinstance(one, GanMethod)
    assert isinstance(other, GanMethod)
    assert one.images.x.data_ptr() == other.images.x.data_ptr()
    assert one.images.y.unique().tolist() == [0, 2]
    assert (one.images.low, one.images.high) == (float(x[y != 1].min()), float(x[y != 1].max()))
    (oracle,) = make(images="loud.npz", data="real.npz", media="array", method="probegan_oracle").methods(1, CPU)
    assert isinstance(oracle, GanMethod)
    assert oracle.images.high == float(x.max())


@pytest.mark.parametrize("kind", ["probegan", "probegan_oracle"])
def test_a_champion_makes_the_same_images_without_the_users_own(make: Make, tmp_path: Path, kind: str) -> None:
    x = np.random.default_rng(0).uniform(-1, 2, (60, 1, 28, 28)).astype(np.float32)
    x[1::3] += 50
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(60) % 3, classes=np.array(SHAPES))
    own = {"source": "own.npz", "media": "array"}
    workload = make(method=kind, images="own.npz", data="own.npz", media="array")
    state = kept(trained(workload))
    document = {
        "method": {"name": kind},
        "models": {"classifier": {"source": "nets_p:classifier"}},
        "data": own,
        "images": own,
        "target": {"class": "bar"},
    }
    folder = tmp_path / "champion"
    carried = carry(document, "array", tmp_path, folder)
    sources = {role: carried[role]["source"] for role in ("data", "images")}
    again = make(checked=False, method=kind, media="array", folder=str(folder), judge=None, objectives=(), **sources)
    again.explainer.check(None)
    assert len(again.images.x) == 2
    one, other = (Showing(each, 1, CPU).found(state, VALUES | {"classifier": 0.0}) for each in (workload, again))
    np.testing.assert_array_equal(one.explanation, other.explanation)


def test_a_training_that_diverges_fails_by_name(make: Make) -> None:
    with pytest.raises(TrialFailed, match=r"not finite at step \d+"):
        trained(make(), 9, generator_lr=1e30)


def test_which_images_train_and_which_classifiers_are_probed_is_part_of_the_identity(
    make: Make, tmp_path: Path
) -> None:
    named = make(classifiers=(("regular", network()), ("other", network(seed=5))))
    assert {"images", "models.classifiers.regular", "models.classifiers.other"} <= set(named.identity)
    before = make()
    images(tmp_path / "train.npz", seed=9)
    assert make().identity != before.identity
    assert make().stepping != before.stepping
    assert isinstance(named.explainer, GanExplainer)
    assert named.explainer.seen == [0, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": network(outputs=4)}, "one score for each of the 3 classes"),
        ({"classifier": network("squashed")}, "softmax"),
        ({"target": "star"}, "must be one of the classes"),
        ({"images": "few.npz"}, "samples of every class but the target.*dot"),
        ({"images": "without.npz", "method": "probegan_oracle"}, "samples of every class.*bar"),
        ({"images": "unsaid.npz"}, "the classes of data, ring, bar, dot .*has a name too"),
        ({"data": "few.npz"}, "at least 2 samples of every class.*none of this one.*dot"),
        ({"data": "one.npz"}, "at least 2 samples of every class.*1 of this one.*ring"),
        ({"images": "flat.npz", "media": "array"}, "images.source: must hold more than one number.*found 0.5"),
        ({"images": "others.npz"}, "the classes of data, ring, bar, dot"),
        ({"images": "large.npz"}, "28 to 64 pixels"),
        ({"images": "wide.npz"}, "the shape of data"),
        ({"images": "unnamed.npz"}, "must have labels"),
    ],
)
def test_what_does_not_fit_is_refused(make: Make, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    images(tmp_path / "few.npz", y=np.arange(60) % 2)
    images(tmp_path / "without.npz", y=np.arange(60) % 2 * 2)
    images(tmp_path / "unsaid.npz", y=np.arange(60) % 2, classes=SHAPES[:2])
    images(tmp_path / "one.npz", y=np.arange(60).clip(0, 2))
    flat = np.where(np.arange(60) % 3 == 1, np.arange(60), 0.5)  # but for the target
    np.savez(
        tmp_path / "flat.npz",
        x=np.broadcast_to(flat[:, None, None, None], (60, 1, 28, 28)).astype(np.float32),
        y=np.arange(60) % 3,
        classes=np.array(SHAPES),
    )
    images(tmp_path / "others.npz", classes=("ring", "dot", "bar"))
    images(tmp_path / "large.npz", size=72)
    images(tmp_path / "wide.npz", size=32)
    np.savez(tmp_path / "unnamed.npz", x=np.zeros((9, 1, 28, 28), dtype=np.float32))
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_images_without_the_target_train_the_same_generator(make: Make, tmp_path: Path) -> None:
    whole = trained(make())
    with np.load(tmp_path / "train.npz") as stored:
        arrays = dict(stored)
    kept = arrays["y"] != 1
    np.savez(tmp_path / "without.npz", x=arrays["x"][kept], y=arrays["y"][kept], classes=arrays["classes"])
    workload = make(images="without.npz")
    without = trained(workload)
    assert without.keys() == whole.keys()
    assert all(torch.equal(without[name], whole[name]) for name in whole)
    assert Scorer(workload, 1, CPU, tmp_path).score(without, VALUES).tensors["unseen"].tolist() == [False, True, False]


def test_what_is_wrong_with_one_of_several_classifiers_is_said_of_that_one(make: Make) -> None:
    lost = ModelSource("nets_p:classifier", weights="lost.safetensors")
    for named in ((("regular", lost), ("other", network())), (("regular", network()), ("other", lost))):
        with pytest.raises(InputError) as found:
            make(classifier=named[0][1], classifiers=named)
        (wrong,) = (name for name, source in named if source is lost)
        assert found.value.key == f"models.classifiers.{wrong}.weights"


def test_the_oracle_is_chosen_by_all_classes_for_it_sees_them(make: Make, tmp_path: Path) -> None:
    found = scored(make(method="probegan_oracle"), tmp_path)
    distances = [found.metrics[f"fd.{name}"] for name in SHAPES]
    assert found.objectives["seen_fd"].value == pytest.approx(sum(distances) / 3)
