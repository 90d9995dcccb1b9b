"""The vocal zoo: the paper's layers, weights that load, and what the card says holds when measured again."""

from __future__ import annotations

import json
import math
import wave
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raysweep.data import load_data
from raysweep.data.audio import FLOOR
from raysweep.errors import InputError
from raysweep.zoo import resolve_data, resolve_model
from raysweep.zoo.parts import loaded
from raysweep.zoo.soundfonts import require, soundfont
from raysweep.zoo.vocal import FOLDER
from raysweep.zoo.vocal.adversarial import Normalised, export
from raysweep.zoo.vocal.evaluation import distance, read, recall, sample
from raysweep.zoo.vocal.networks import CLASSES, LATENT, Classifier, Generator
from raysweep.zoo.vocal.score import contour, melody

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
SEED = 77  # not the recipe's


@cache
def load(name: str) -> nn.Module:
    return loaded(resolve_model(f"zoo://vocal/{name}"))


@cache
def held_out() -> tuple[Tensor, Tensor]:
    with np.load(resolve_data("zoo://vocal/test").file) as archive:
        return torch.from_numpy(archive["x"]).float(), torch.from_numpy(archive["y"])


def layers(net: nn.Module) -> list[str]:
    """Each layer with weights or a shape of its own, in the paper's notation."""
    written = {
        nn.Linear: lambda m: f"dense {m.in_features}-{m.out_features}",
        nn.Conv2d: lambda m: (
            f"conv {m.in_channels}-{m.out_channels} k{m.kernel_size[0]} s{m.stride[0]} p{m.padding[0]}"
        ),
        nn.ConvTranspose2d: lambda m: f"deconv {m.in_channels}-{m.out_channels} k{m.kernel_size[0]} s{m.stride[0]}",
        nn.LeakyReLU: lambda m: f"leaky {m.negative_slope}",
        nn.MaxPool2d: lambda m: f"pool {m.kernel_size}",
        nn.Dropout: lambda m: f"dropout {m.p}",
    }
    return [written[type(m)](m) for m in net.modules() if type(m) in written]


def test_the_generator_has_the_papers_layers_and_no_others() -> None:
    doubling = [f"deconv {a}-{b} k5 s2" for a, b in ((128, 64), (64, 32), (32, 16), (16, 8))]
    expected = ["dense 128-5120", "leaky 0.2", *(part for step in doubling for part in (step, "leaky 0.2"))]
    assert layers(Generator()) == [*expected, "conv 8-1 k5 s1 p2"]
    weighted = {type(m) for m in Generator().modules() if list(m.parameters(recurse=False))}
    assert weighted == {nn.Linear, nn.ConvTranspose2d, nn.Conv2d}


def test_the_classifier_has_the_papers_layers() -> None:
    def conv(a: int, b: int) -> list[str]:
        return [f"conv {a}-{b} k3 s1 p0", "leaky 0.01"]

    convolutions = [*conv(1, 64), *conv(64, 32), "pool 3", *conv(32, 128), *conv(128, 64), "pool 3"]
    dense = ["dropout 0.5", "dense 4928-256", "leaky 0.01", "dropout 0.5", "dense 256-64", "leaky 0.01"]
    assert layers(Classifier()) == [*convolutions, *dense, "dropout 0.5", "dense 64-1"]


def test_the_generator_makes_log_mels_within_the_range_of_sound() -> None:
    entry = resolve_model("zoo://vocal/generator")
    made = sample(load("generator"), 64, SEED)
    assert made.shape == (64, 1, 80, 115)
    assert made.dtype == torch.float32
    assert math.log(FLOOR) <= made.min()
    assert made.max() < 10
    assert (entry.latent, entry.units, entry.media) == (LATENT, None, "logmel")


def test_a_generated_log_mel_never_lies_below_the_floor() -> None:
    assert load("generator")(1e4 * torch.randn(4, LATENT)).min() >= math.log(FLOOR)


@pytest.mark.parametrize("name", ["classifier", "judge"])
def test_a_network_hears_singing_by_a_speaker_and_over_a_soundfont_it_never_met(name: str) -> None:
    x, y = held_out()
    logits = read(load(name), x)
    assert logits.shape == (500, 1)
    assert resolve_model(f"zoo://vocal/{name}").units == ("vocal",)
    stated = FIGURES["test"][name]["accuracy"]
    assert recall(logits, y)["accuracy"] >= stated - 0.01
    assert stated >= 0.9


def test_the_test_split_is_balanced_log_mel_that_loads_as_float32() -> None:
    data = load_data("zoo://vocal/test", folder=None)
    assert data.x.shape == (500, 1, 80, 115)
    assert data.x.dtype == np.float32
    assert data.y is not None
    assert np.bincount(data.y).tolist() == [250, 250]
    assert (data.classes, data.media) == (CLASSES, "logmel")
    assert math.log(FLOOR) <= data.x.min() < data.x.max() < 10


def test_loudness_does_not_tell_the_classes_apart() -> None:
    x, y = held_out()
    level, vocal = x.mean(dim=(1, 2, 3)), y > 0
    best = max(float(((level > t) == vocal).float().mean()) for t in level)
    assert 0.4 < best < 0.7


def test_samples_are_as_near_to_held_out_excerpts_as_the_card_says() -> None:
    judge, (x, _) = load("judge"), held_out()
    made = read(judge.features, sample(load("generator"), 500, SEED))  # type: ignore[arg-type]
    stated = FIGURES["card"]["held_out"]["samples"]
    assert distance(made, read(judge.features, x), 500) == pytest.approx(stated, rel=0.25)  # type: ignore[arg-type]


def test_the_judge_hears_both_classes_in_the_samples() -> None:
    vocal = float((read(load("judge"), sample(load("generator"), 400, SEED)) > 0).float().mean())
    assert vocal == pytest.approx(FIGURES["card"]["vocal"], abs=0.08)
    assert 0.1 < vocal < 0.9


def test_the_card_states_what_was_measured() -> None:
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    assert f"{FIGURES['classifier']['accuracy']:.1%}" in card
    assert f"{FIGURES['card']['held_out']['floor']:.3f}" in card


@pytest.mark.parametrize("name", ["samples.wav", "real.wav"])
def test_the_sounds_are_playable_and_not_silent(name: str) -> None:
    with wave.open(str(FOLDER / name)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
        assert 1.5 < file.getnframes() / 22050 < 10
        assert np.frombuffer(file.readframes(file.getnframes()), "<i2").std() > 300


def test_the_collection_ships_in_a_few_megabytes() -> None:
    shipped = [file for file in FOLDER.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in shipped) < 20e6
    assert (FOLDER / "test.npz").stat().st_size < 6e6


def test_exporting_folds_batch_normalisation_and_scale_exactly() -> None:
    torch.manual_seed(0)
    trained = Normalised()
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.1)
    z = torch.randn(8, LATENT)
    plain = export(trained, mean=-2.0, std=3.0)
    random = torch.Generator().manual_seed(0)
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(20):
            trained(torch.randn(100, LATENT, generator=random))
        torch.testing.assert_close(plain(z), trained.eval()(z) * 3 - 2, atol=1e-3, rtol=1e-3)


def test_a_melody_fills_the_excerpt_and_is_sung_near_its_notes() -> None:
    rng = np.random.default_rng(0)
    notes = melody(rng, root=2, scale=(0, 2, 4, 7, 9), middle=60)
    assert all(a.end == b.start for a, b in pairwise(notes))
    assert notes[-1].end > 1.7
    assert all((note.key - 2) % 12 in (0, 2, 4, 7, 9) for note in notes)
    pitch = contour(notes, np.arange(0, 1.7, 0.005), rng)
    assert min(n.key for n in notes) - 1 < pitch.min() <= pitch.max() < max(n.key for n in notes) + 1


def test_a_missing_recipe_package_or_soundfont_says_how_to_install_it() -> None:
    with pytest.raises(InputError, match=r"raysweep\[recipes\]"):
        require("a_package_that_is_not_there")
    with pytest.raises(InputError, match="apt install"):
        soundfont("sf2/none.sf2")
