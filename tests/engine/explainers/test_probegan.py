"""Generators that a sweep trains, on a user's own images: what is shown, shared and carried, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.champion import carry
from raysweep.data.audio import MelSpec
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.scoring import Scorer
from raysweep.engine.showing import Showing
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError, TrialFailed
from raysweep.methods.gan import GanMethod
from raysweep.models.model import ModelSource
from tests.engine.explainers.gans import CPU, SHAPES, VALUES, Make, gan_workloads, images, network, scored, trained


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return gan_workloads(tmp_path)


def test_people_see_every_class_and_which_was_never_shown(make: Make, tmp_path: Path) -> None:
    tensors = scored(make(), tmp_path).tensors
    assert tensors["classes"].shape == (3, 8, 1, 28, 28)
    assert tensors["unseen"].tolist() == [False, True, False]
    np.testing.assert_array_equal(tensors["classes"][1], tensors["explanation"])
    assert not scored(make(method="probegan_oracle"), tmp_path).tensors["unseen"].any()


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


def test_lanes_share_the_weights_of_what_is_probed_and_none_of_its_layers(make: Make) -> None:
    one, other = (method.classifiers[0] for method in make().methods(2, CPU) if isinstance(method, GanMethod))
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert mine is theirs
    assert not {id(layer) for layer in one.modules()} & {id(layer) for layer in other.modules()}


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
        ({"images": "signed.npz"}, r"images.source: must be of the medium of data, image.*found 'array'"),
        ({"data": "signed.npz"}, r"images.source: must be of the medium of data, array.*found 'image'"),
        ({"images": "slow.npz", "data": "fast.npz"}, r"taken as those of data, .*hop=125.*found .*hop=250"),
        ({"images": "others.npz"}, "the classes of data, ring, bar, dot"),
        ({"images": "twice.npz"}, "images.source: must have classes of different names.*found 'ring'"),
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
    noise, y = np.random.default_rng(0).uniform(-1, 1, (60, 1, 28, 28)), np.arange(60) % 3
    np.savez(tmp_path / "signed.npz", x=noise, y=y, classes=np.array(SHAPES))
    for name, hop in (("slow", 250), ("fast", 125)):
        mel = MelSpec(8000, 512, hop, 28, 60.0, 3700.0).numbers
        np.savez(tmp_path / f"{name}.npz", x=noise, y=y, classes=np.array(SHAPES), mel=mel)
    images(tmp_path / "others.npz", classes=("ring", "dot", "bar"))
    images(tmp_path / "twice.npz", classes=("ring", "bar", "ring"))
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
