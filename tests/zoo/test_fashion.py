"""The fashion zoo: its weights load, and what its card says holds when measured again."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo import obfuscations, resolve_data, resolve_model
from raysweep.zoo.fashion import CLASSES, FOLDER, LATENT
from raysweep.zoo.fashion.boltzmann import judged
from raysweep.zoo.fashion.evaluation import accuracy_by_class, distances, multiply_adds, read, recognised, sample
from raysweep.zoo.fashion.source import PROBED, SWEPT, Split
from raysweep.zoo.images import Images
from raysweep.zoo.parts import loaded
from raysweep.zoo.pgd import Attack, accuracy_under, perturb

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
SEED = 77  # not the recipe's


@cache
def load(name: str) -> nn.Module:
    return loaded(resolve_model(f"zoo://fashion/{name}"))


@cache
def held_out() -> tuple[Tensor, Tensor]:
    """The test images [10000, 1, 28, 28] in [0, 1] and their classes, shuffled."""
    with np.load(resolve_data("zoo://fashion/test").file) as archive:
        order = np.random.default_rng(SEED).permutation(len(archive["x"]))
        return torch.from_numpy(archive["x"][order]).float() / 255, torch.from_numpy(archive["y"][order])


def test_the_generator_makes_images_in_the_unit_range():
    entry = resolve_model("zoo://fashion/generator")
    images = sample(load("generator"), 64, SEED)
    assert images.shape == (64, 1, 28, 28)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < 0.01
    assert 0.9 < images.max() <= 1
    assert (entry.latent, entry.units, entry.media) == (LATENT, None, "image")


@pytest.mark.parametrize(
    ("name", "least"), [("classifier", 0.905), ("judge", 0.905), ("regular", 0.885), ("robust", 0.755)]
)
def test_a_classifier_names_held_out_images(name: str, least: float):
    x, y = held_out()
    logits = read(load(name), x[:2000])
    assert logits.shape == (2000, 10)
    assert (logits.argmax(1) == y[:2000]).float().mean() >= least
    assert resolve_model(f"zoo://fashion/{name}").units == CLASSES


@pytest.mark.parametrize("name", ["generator", "classifier", "regular", "robust", "judge"])
def test_a_row_does_not_depend_on_its_batch(name: str):
    net = load(name)
    rows = torch.randn(6, LATENT) if name == "generator" else held_out()[0][:6]
    with torch.no_grad():
        torch.testing.assert_close(net(rows)[2:3], net(rows[2:3]), rtol=1e-4, atol=1e-4)


def test_layer_features_8_is_the_last_feature_map_after_its_relu():
    maps = load("classifier").get_submodule("features")(held_out()[0][:4])
    assert maps.shape == (4, 64, 7, 7)
    assert isinstance(load("classifier").get_submodule("features.8"), nn.ReLU)


def test_generator_and_classifier_stay_within_what_the_card_says():
    generator = multiply_adds(load("generator"), torch.zeros(1, LATENT))
    classifier = multiply_adds(load("classifier"), torch.zeros(1, 1, 28, 28))
    assert (generator, classifier) == tuple(FIGURES[n]["multiply_adds"] for n in ("generator", "classifier"))
    assert generator + classifier <= 12_000_000


def test_the_test_split_is_balanced_and_small():
    entry = resolve_data("zoo://fashion/test")
    with np.load(entry.file) as archive:
        assert archive["x"].dtype == np.uint8
        assert archive["x"].shape == (10_000, 1, 28, 28)
        assert archive["y"].dtype == np.int64
        assert np.bincount(archive["y"]).tolist() == [1000] * 10
        assert tuple(archive["classes"]) == entry.classes == CLASSES
    assert entry.file.stat().st_size <= 4.5e6


def test_the_images_to_train_with_are_of_all_classes_and_no_test_images():
    entry = resolve_data("zoo://fashion/seen")
    with np.load(entry.file) as archive:
        x, y = archive["x"], archive["y"]
        assert tuple(archive["classes"]) == entry.classes == CLASSES
    assert (x.shape, x.dtype, y.dtype) == ((15_000, 1, 28, 28), np.uint8, np.int64)
    assert np.bincount(y).tolist() == FIGURES["seen"]["per_class"]
    assert min(FIGURES["seen"]["per_class"]) >= 1400
    assert entry.file.stat().st_size <= 7e6
    with np.load(resolve_data("zoo://fashion/test").file) as archive:
        tested = {image.tobytes() for image in archive["x"]}
    assert sum(image.tobytes() in tested for image in x) == 0


def test_what_is_seen_trains_neither_the_probed_classifiers_nor_the_judge():
    number = torch.arange(60_000)
    train = Images(number, number)
    split = Split(train[:SWEPT], train[SWEPT:], train[:0])
    parts = [part.y.tolist() for part in (split.probed, split.seen, split.judging)]
    assert [len(part) for part in parts] == [PROBED, 15_000, 25_000]
    assert [index for part in parts for index in part] == number.tolist()


def attacked(n: int) -> tuple[Tensor, Tensor]:
    """The first n of the test images and their classes: [n, 1, 28, 28], [n]."""
    x, y = held_out()
    return x[:n], y[:n]


def test_an_attack_stays_within_its_ball_and_the_unit_range_and_raises_the_loss():
    x, y = attacked(64)
    net = load("regular")
    moved = perturb(net, x, y, Attack(radius=0.7, steps=5), torch.Generator().manual_seed(SEED))
    assert (moved - x).flatten(1).norm(dim=1).max() <= 0.7 + 1e-4
    assert 0 <= moved.min() < moved.max() <= 1
    assert not moved.requires_grad
    with torch.no_grad():
        loss = [functional.cross_entropy(net(images), y) for images in (x, moved)]
    assert loss[1] > 3 * loss[0]


def test_an_attack_leaves_the_network_in_its_mode_and_its_running_statistics_alone():
    x, y = attacked(16)
    net = resolve_model("zoo://fashion/regular").build().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    perturb(net, x, y, Attack(radius=1.0, steps=2), torch.Generator().manual_seed(SEED))
    assert all(part.training for part in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def under(attack: Attack, name: str, n: int = 300) -> float:
    x, y = attacked(n)
    return accuracy_under(attack, load(name), Images((x * 255).round().byte(), y), restarts=1, seed=SEED)


def test_the_robust_classifier_withstands_the_attack_that_the_regular_one_does_not():
    stated = FIGURES["attacks"]
    attack = Attack(stated["radius"], steps=15)
    robust, regular = under(attack, "robust"), under(attack, "regular")
    assert robust > regular + 0.4
    assert robust == pytest.approx(stated["left"]["robust"], abs=0.08)
    assert regular == pytest.approx(stated["left"]["regular"], abs=0.08)


@pytest.mark.parametrize("name", ["regular", "robust"])
def test_no_image_withstands_an_attack_far_beyond_the_radius(name: str):
    """Otherwise the gradients would be masked, and what the card states would be no robustness."""
    assert under(Attack(radius=8.0, steps=30), name, 100) == 0


def test_the_card_states_what_attacks_leave():
    stated = FIGURES["attacks"]["left"]
    assert stated["robust"] > stated["regular"] + 0.4
    text = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for name, left in stated.items():
        assert f"| {name} | {FIGURES[name]['accuracy']:.2%} | {left:.2%} |" in text


def test_the_judge_names_images_of_each_class_as_the_card_states():
    x, y = held_out()
    stated = FIGURES["card"]["judge_by_class"]
    measured = accuracy_by_class(load("judge"), Images((x[:5000] * 255).round().byte(), y[:5000]))
    assert measured == pytest.approx(stated, abs=0.05)
    assert sum(stated.values()) / 10 == pytest.approx(FIGURES["judge"]["accuracy"])


@pytest.mark.parametrize("name", ["classifier", "judge"])
def test_the_card_states_at_least_91_percent(name: str):
    assert FIGURES[name]["accuracy"] >= 0.91
    assert f"{FIGURES[name]['accuracy']:.2%}" in (FOLDER / "CARD.md").read_text(encoding="utf-8")


def test_the_card_states_a_generator_within_three_floors():
    rows = {row["n"]: row for row in FIGURES["card"]["distances"]["judge"]}
    assert rows[1000]["ratio"] <= 3
    assert rows[1000]["ratio"] == pytest.approx(rows[1000]["distance"] / rows[1000]["floor"])


def test_fresh_samples_are_within_three_floors_of_held_out_images():
    row = distances(load("judge").features, sample(load("generator"), 2000, SEED), held_out()[0][:4000], 1000)
    assert row["ratio"] <= 3
    stated = FIGURES["card"]["distances"]["judge"][0]
    assert row["floor"] == pytest.approx(stated["floor"], rel=0.3)


def test_the_judge_recognises_eight_classes_among_a_thousand_samples():
    counts = recognised(load("judge"), sample(load("generator"), 1000, SEED))
    assert sum(counts.values()) == 1000
    assert sum(count >= 10 for count in counts.values()) >= 8
    assert sum(count >= 10 for count in FIGURES["card"]["recognised"].values()) >= 8


def test_distances_of_real_images_to_real_images_are_the_floor():
    x, _ = held_out()
    row = distances(load("judge").features, x[:2000], x[2000:6000], 500)
    assert row["pairs"] == 4
    assert row["ratio"] == pytest.approx(1, abs=0.25)


def masked(n: int, density: float = 0.2) -> tuple[Tensor, Tensor, Tensor]:
    """Test images, masks and noise, all [n, 1, 28, 28]."""
    random = torch.Generator().manual_seed(SEED)
    mask = (torch.rand(n, 1, 28, 28, generator=random) < density).float()
    return held_out()[0][:n], mask, torch.randn(n, 1, 28, 28, generator=random)


def test_fills_are_images_that_differ_with_the_noise_and_not_with_the_batch():
    x, mask, noise = masked(8)
    net = load("inpainter")
    with torch.no_grad():
        fill, other = net(x * mask, mask, noise), net(x * mask, mask, -noise)
        one = net(*(t[2:3] for t in (x * mask, mask, noise)))
    assert fill.shape == x.shape
    assert fill.dtype == torch.float32
    assert 0 <= fill.min() < fill.max() <= 1
    assert (fill - other).abs().flatten(1).mean(1).min() > 0.005
    torch.testing.assert_close(one, fill[2:3], rtol=1e-4, atol=1e-4)


def test_the_inpainter_computes_nearly_the_same_in_bfloat16():
    x, mask, noise = masked(8)
    half = resolve_model("zoo://fashion/inpainter").build().eval()
    half.load_state_dict(load("inpainter").state_dict())
    with torch.no_grad():
        fill = load("inpainter")(x * mask, mask, noise)
        rough = half.bfloat16()((x * mask).bfloat16(), mask.bfloat16(), noise.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - fill).abs().mean() < 0.02


def test_fills_follow_what_was_kept():
    x, mask, noise = masked(500, density=0.5)
    with torch.no_grad():
        fill = load("inpainter")(x * mask, mask, noise)
    removed = mask == 0
    error, blind = (fill - x)[removed].square().mean(), (x.mean(0) - x)[removed].square().mean()
    assert error < 0.3 * blind


def test_the_inpainter_takes_about_what_the_classifier_takes():
    example = torch.zeros(1, 1, 28, 28)
    adds = multiply_adds(load("inpainter"), example, example, example)
    assert adds == FIGURES["inpainter"]["multiply_adds"]
    assert adds <= 5_000_000


def test_the_inpainter_is_nearer_to_images_than_noise_and_constants_are():
    x, _ = held_out()
    masks = obfuscations.trial_masks(400, (1, 28, 28), {7: "patches"}, SEED)
    chosen = {kind: masks[kind] for kind in ("nothing", "20% of patches")}
    fills = obfuscations.fills(load("inpainter"), x)
    found = obfuscations.distances(load("judge").features, fills, x[:400], x[1000:3000], chosen, SEED)
    for row in found["kept"].values():
        assert row["inpainter"][2] < min(row["Gaussian noise"][1], row["constant"][1])


def test_the_card_states_an_inpainter_nearer_than_the_simple_fills():
    for row in FIGURES["obfuscations"]["kept"].values():
        assert row["inpainter"][2] < min(row["Gaussian noise"][1], row["constant"][1])


def test_the_expert_finds_held_out_images_likely_as_the_card_states():
    x, _ = held_out()
    stated, expert = FIGURES["expert"], load("expert")
    found = judged(expert, x[:2000], SEED)
    assert found["images_energy"] < min(found["permuted_energy"], found["noise_energy"]) - 1000
    for name, value in found.items():
        assert value == pytest.approx(stated[name], rel=0.1)
    assert found["error"] < 0.3 * found["variance"]
    assert (FOLDER / "expert.safetensors").stat().st_size <= 2e6


def test_steps_up_the_experts_likelihood_make_noise_more_likely_row_by_row():
    expert = load("expert").requires_grad_(False)
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(SEED)).requires_grad_()
    likely = expert(x)
    (gradient,) = torch.autograd.grad(likely.sum(), x)
    assert (expert(x + 1e-4 * gradient) > likely).all()
    torch.testing.assert_close(expert(x[2:3]), likely[2:3], rtol=1e-4, atol=1e-2)
