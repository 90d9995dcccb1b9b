"""The notes' zoo: its weights load, and what its card says holds when measured again."""

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
from raysweep.data.spectrum import NOTE, spectrum
from raysweep.zoo import resolve_data, resolve_model
from raysweep.zoo.notes import CLASSES, FOLDER
from raysweep.zoo.notes.evaluation import multiply_adds, without_magnitude, without_phase
from raysweep.zoo.notes.networks import FLOOR, hear
from raysweep.zoo.notes.render import PROGRAMS, SPLITS, Note, Split, labels, notes
from raysweep.zoo.notes.supervised import accuracy, recolour
from raysweep.zoo.obfuscations import distances, fill_in, fills, trial_masks
from raysweep.zoo.parts import loaded

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
SEED = 77  # not the recipe's


@cache
def load(name: str) -> nn.Module:
    return loaded(resolve_model(f"zoo://notes/{name}"))


@cache
def held_out() -> tuple[Tensor, Tensor]:
    with np.load(resolve_data("zoo://notes/test").file) as archive:
        return torch.from_numpy(archive["x"]).float(), torch.from_numpy(archive["y"])


@cache
def waves() -> np.ndarray:
    with np.load(resolve_data("zoo://notes/test").file) as archive:
        return archive["waves"]


def test_the_test_split_is_balanced_spectra_that_load_as_float32() -> None:
    data = load_data("zoo://notes/test", folder=None)
    assert data.x.shape == (2000, 2, NOTE.bins)
    assert data.x.dtype == np.float32
    assert data.y is not None
    assert np.bincount(data.y).tolist() == [200] * 10
    assert (data.classes, data.media) == (CLASSES, "spectrum")
    assert np.square(data.x[:, 0]).mean(axis=1) == pytest.approx(1, abs=2e-3)
    assert np.abs(data.x[:, 1]).max() <= np.pi + 2e-3


def test_the_first_sounds_are_those_of_the_first_spectra() -> None:
    x, y = held_out()
    assert waves().dtype == np.int16
    assert waves().shape == (160, NOTE.samples)
    assert np.bincount(y[:160]).tolist() == [16] * 10
    found = torch.from_numpy(spectrum(waves() / 32767))
    loud = x[:160, 0] > 0.1
    torch.testing.assert_close(found[:, 0][loud], x[:160, 0][loud], rtol=0.02, atol=0.02)
    assert torch.cos(found[:, 1] - x[:160, 1])[loud].quantile(0.01) > 0.99


@pytest.mark.parametrize("name", ["classifier", "judge"])
def test_a_network_names_test_notes_as_often_as_the_card_says(name: str) -> None:
    x, y = held_out()
    stated = FIGURES[name]["test"]
    assert accuracy(load(name), x, y) == pytest.approx(stated, abs=0.015)
    assert stated > 0.9
    assert resolve_model(f"zoo://notes/{name}").units == CLASSES


def test_the_classifier_uses_magnitudes_and_phases() -> None:
    x, y = held_out()
    whole = accuracy(load("classifier"), x, y)
    assert without_phase(load("classifier"), x, y, SEED) < whole - 0.01
    assert without_magnitude(load("classifier"), x, y) < whole - 0.3


def test_the_card_states_both_accuracies() -> None:
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for split in ("test", "soundfont"):
        assert f"{FIGURES['classifier'][split]:.1%}" in card
    assert FIGURES["classifier"]["soundfont"] < FIGURES["classifier"]["test"]


@pytest.mark.parametrize("name", ["classifier", "judge"])
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    rows = held_out()[0][:6]
    torch.testing.assert_close(load(name)(rows)[2:3], load(name)(rows[2:3]), rtol=1e-4, atol=1e-4)


def test_a_fill_does_not_depend_on_its_batch_and_is_the_same_for_the_same_noise() -> None:
    x, mask, noise = held_out()[0][:6], *_masked(6)
    net = load("inpainter")
    fill = net(x * mask, mask, noise)
    assert torch.equal(fill, net(x * mask, mask, noise))
    one = net(*(t[2:3] for t in (x * mask, mask, noise)))
    torch.testing.assert_close(hear(one), hear(fill[2:3]), rtol=1e-3, atol=1e-3)


def test_fills_are_spectra_that_differ_with_the_noise() -> None:
    x, mask, noise = held_out()[0][:40], *_masked(40)
    net = load("inpainter")
    fill, other = net(x * mask, mask, noise), net(x * mask, mask, -noise)
    assert fill.shape == x.shape
    assert fill.dtype == torch.float32
    assert -FLOOR <= fill[:, 0].min() < fill[:, 0].max() <= math.sqrt(NOTE.bins) + 1e-3
    assert fill[:, 1].abs().max() <= np.float32(np.pi)
    assert (fill - other).abs().flatten(1).mean(1).min() > 0.01


def test_an_inpainter_takes_one_mask_for_both_rows_and_runs_in_bfloat16() -> None:
    x, mask, noise = held_out()[0][:4], *_masked(4)
    joint = mask[:, :1]
    fill = load("inpainter")(x * joint, joint, noise)
    torch.testing.assert_close(fill, load("inpainter")(x * joint, joint.expand_as(x), noise))
    half = resolve_model("zoo://notes/inpainter").build().eval()
    half.load_state_dict(load("inpainter").state_dict())
    rough = half.bfloat16()((x * joint).bfloat16(), joint.bfloat16(), noise.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert (hear(rough.float()) - hear(fill)).abs().mean() < 0.1


def test_the_inpainter_is_nearer_to_notes_than_noise_and_constants_are() -> None:
    x, _ = held_out()
    masks = trial_masks(400, (2, NOTE.bins), {1: "bins"}, SEED)
    chosen = {kind: masks[kind] for kind in ("nothing", "20% of bins")}
    named = fills(load("inpainter"), x)
    found = distances(load("judge").features, named, x[:400], x[1000:], chosen, SEED)  # type: ignore[arg-type]
    for row in found["kept"].values():
        assert row["inpainter"][2] < min(row["Gaussian noise"][1], row["constant"][1])


def test_the_card_states_an_inpainter_nearer_than_the_simple_fills() -> None:
    for row in FIGURES["obfuscations"]["kept"].values():
        assert row["inpainter"][2] < min(row["Gaussian noise"][1], row["constant"][1])


def test_obfuscations_keep_what_the_mask_keeps() -> None:
    x, mask, _ = held_out()[0][:20], *_masked(20)
    made = fill_in(load("inpainter"), x, mask, SEED)
    assert torch.equal(made[mask > 0], x[mask > 0])


def test_the_networks_stay_within_what_the_card_says() -> None:
    example = torch.zeros(1, 2, NOTE.bins)
    for name, inputs in (("classifier", 1), ("judge", 1), ("inpainter", 3)):
        assert multiply_adds(load(name), *[example] * inputs) == FIGURES[name]["multiply_adds"]


def test_the_notes_can_be_played() -> None:
    with wave.open(str(FOLDER / "notes.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert file.getnframes() == 10 * NOTE.samples
        assert np.frombuffer(file.readframes(file.getnframes()), "<i2").std() > 300


def test_the_collection_ships_in_a_few_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) < 12e6


def test_no_note_is_in_two_splits_and_families_take_turns() -> None:
    def played(split: Split) -> list[tuple[str, int, int, int]]:
        return [(note.soundfont, note.program, note.key, note.velocity) for note in notes(split)]

    small = {"a": Split(("x",), 1, 0, 40), "b": Split(("x",), 1, 40, 60)}
    all_of_them = played(small["a"]) + played(small["b"])
    assert len(set(all_of_them)) == len(all_of_them) == 600
    for name, split in small.items():
        for note, label in zip(notes(split), labels(split), strict=True):
            assert note.program in PROGRAMS[CLASSES[label]], name
    spans = sorted((split.first, split.last) for split in SPLITS.values() if split.seed == SPLITS["train"].seed)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert not set(SPLITS["soundfont"].soundfonts) & set(SPLITS["train"].soundfonts)


def test_every_family_plays_the_same_keys() -> None:
    played: dict[int, list[Note]] = {k: [] for k in range(10)}
    for index, note in enumerate(notes(Split(("x",), 1, 0, 1500))):
        played[index % 10].append(note)
    for family in played.values():
        assert (min(n.key for n in family), max(n.key for n in family)) == (36, 84)
        assert np.mean([n.key for n in family]) == pytest.approx(60, abs=1.5)
        assert np.mean([n.velocity for n in family]) == pytest.approx(83.5, abs=3)


def test_recolouring_leaves_the_power_and_the_phases() -> None:
    x, _ = held_out()
    recoloured = recolour(x[:8], torch.Generator().manual_seed(0))
    assert torch.equal(recoloured[:, 1], x[:8, 1])
    torch.testing.assert_close(recoloured[:, 0].square().mean(1), torch.ones(8))
    assert (recoloured[:, 0] - x[:8, 0]).abs().max() > 0.05


def _masked(n: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(SEED)
    mask = (torch.rand(n, 2, NOTE.bins, generator=random) < 0.3).float()
    return mask, torch.randn(n, 2, NOTE.bins, generator=random)
