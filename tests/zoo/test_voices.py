"""The voices' zoo: splits that share no recording, weights that load, figures that hold, pitches that are heard."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from raysweep.data import load_data
from raysweep.data.audio import griffin_lim
from raysweep.errors import InputError
from raysweep.zoo.parts import loaded
from raysweep.zoo.voices import FOLDER, MODELS
from raysweep.zoo.voices.excerpts import HIGH, LOW, MEL, NOISE, RMS, SAMPLES, levelled, picture, seconds_of
from raysweep.zoo.voices.hearing import main
from raysweep.zoo.voices.networks import CLASSES
from raysweep.zoo.voices.pitch import median_pitch, pitches
from raysweep.zoo.voices.sources import SOURCES, SPLITS, recordings
from raysweep.zoo.voices.supervised import read, recolour

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))


@cache
def split(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    """Eight harmonics."""
    time = np.arange(round(seconds * MEL.sample_rate)) / MEL.sample_rate
    return np.sum([np.sin(2 * np.pi * frequency * k * time + k) / k for k in range(1, 9)], axis=0)


def test_images_and_test_share_speakers_and_no_recording() -> None:
    seen, test = (set(split(name)["recording"].tolist()) for name in ("seen", "test"))
    assert not seen & test
    assert {name.partition("/")[0] for name in seen} == {name.partition("/")[0] for name in test}
    assert (FIGURES["data"]["seen"]["recordings"], FIGURES["data"]["test"]["recordings"]) == (len(seen), len(test))


def test_classifier_judge_and_images_have_sources_of_their_own() -> None:
    named = {purpose: {source.name for source in sources} for purpose, sources in SOURCES.items()}
    used = {name: set(FIGURES["data"][name]["sources"]) for name in SPLITS}
    for name, purpose in SPLITS.items():
        assert used[name] == named[purpose]
    assert not used["classifier"] & used["judge"]
    assert not (used["classifier"] | used["judge"]) & (used["seen"] | used["test"])
    places = [(source.package, source.pattern) for sources in SOURCES.values() for source in sources]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", ["seen", "test"])
def test_shipped_rows_are_of_the_class_that_their_source_is_of(name: str) -> None:
    label = {source.name: source.label for source in SOURCES[SPLITS[name]]}
    arrays = split(name)
    assert arrays["y"].tolist() == [label[one.partition("/")[0]] for one in arrays["recording"].tolist()]
    data = load_data(f"zoo://voices/{name}")
    assert (data.media, data.classes, data.mel) == ("logmel", CLASSES, MEL)
    assert data.x.shape[1:] == (1, 32, 32)
    assert (data.x.min(), data.x.max() <= HIGH) == (LOW, True)


def test_a_shared_sources_recordings_are_divided_and_a_missing_source_names_its_package(tmp_path: Path) -> None:
    source = SOURCES["shared"][0]
    with pytest.raises(InputError, match=source.package):
        recordings(source, "seen", tmp_path)
    folder = tmp_path / "usr/share" / source.folder / "cave/nl"
    folder.mkdir(parents=True)
    names = {f"cave-v-{index}.ogg" for index in range(20)}
    for name in (*names, "cave-m-1.ogg", "readme.txt"):
        (folder / name).touch()
    seen, test = ([file.name for file in recordings(source, part, tmp_path)] for part in ("seen", "test"))
    assert (len(seen), len(test), set(seen) | set(test)) == (15, 5, names)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_networks_name_as_many_of_the_test_as_the_card_says(name: str) -> None:
    arrays = split("test")
    right = read(loaded(MODELS[name]), torch.from_numpy(arrays["x"])).argmax(1).numpy() == arrays["y"]
    assert right.mean() == pytest.approx(FIGURES[name]["test"]["accuracy"], abs=0.004)
    assert right.mean() > 0.7


def test_a_recording_is_cut_into_seconds_in_which_something_is_heard() -> None:
    sound = np.concatenate([np.zeros(4000), tone(120.0, 2.5), np.zeros(16000)])
    parts = list(seconds_of(sound))
    assert [len(part) for part in parts] == [SAMPLES] * 4
    np.testing.assert_array_equal(parts[1], sound[4000 + SAMPLES // 2 :][:SAMPLES])
    assert not list(seconds_of(np.zeros(20000)))
    assert not list(seconds_of(tone(120.0, 0.4)))


def test_excerpts_have_one_loudness_over_one_noise() -> None:
    for loudness in (1e-3, 0.5):
        sound = levelled(loudness * tone(120.0)[:SAMPLES], np.random.default_rng(0))
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(RMS, rel=0.01)
        quiet = sound - RMS * tone(120.0)[:SAMPLES] / np.sqrt(np.mean(tone(120.0)[:SAMPLES] ** 2))
        assert quiet.std() == pytest.approx(RMS * NOISE, rel=0.05)


@pytest.mark.parametrize("frequency", [95.0, 130.0, 210.0, 290.0])
def test_a_voices_pitch_is_found_and_survives_the_way_back_from_its_log_mel(frequency: float) -> None:
    sound = levelled(tone(frequency)[:SAMPLES], np.random.default_rng(0))
    assert median_pitch(sound, MEL.sample_rate) == pytest.approx(frequency, rel=0.005)
    heard = griffin_lim(picture(sound).astype(np.float32), MEL)
    assert len(heard) == SAMPLES
    assert median_pitch(heard, MEL.sample_rate) == pytest.approx(frequency, rel=0.05)


def test_a_pitch_that_glides_is_followed_and_noise_has_none() -> None:
    time = np.arange(8000) / 8000
    glide = np.sin(2 * np.pi * (100 * time + 50 * time**2))
    found = pitches(glide + 0.5 * np.sin(4 * np.pi * (100 * time + 50 * time**2)), 8000)
    middles = 0.03 + 0.015 * np.arange(len(found))
    np.testing.assert_allclose(found, 100 + 100 * middles, rtol=0.02)
    assert np.isnan(median_pitch(np.random.default_rng(0).standard_normal(8000), 8000))
    assert np.isnan(median_pitch(np.zeros(100), 8000))


def test_what_a_generator_made_is_heard_class_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [picture(levelled(tone(f)[:SAMPLES], np.random.default_rng(0))).astype(np.float32) for f in (120.0, 220.0)]
    hiss = picture(0.1 * np.random.default_rng(0).standard_normal(SAMPLES)).astype(np.float32)
    classes = np.stack([made[0], made[1], hiss])[:, None, None]
    save_file({"explanation": classes[1], "classes": classes}, tmp_path / "made.safetensors")
    main(str(tmp_path / "made.safetensors"))
    women, *lines = capsys.readouterr().out.splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == list(CLASSES)
    heights = [float(line.partition("median ")[2].split()[0]) for line in (women, *lines[:2])]
    assert heights == pytest.approx([220, 120, 220], rel=0.05)
    assert lines[2].endswith("0 of 1 voiced")


def test_recolouring_turns_frames_round_and_tilts_bands_alike_in_all_of_them() -> None:
    x = torch.from_numpy(split("test")["x"][:8]).float()
    changed = recolour(x, torch.Generator().manual_seed(0))
    for before, after in zip(x[:, 0], changed[:, 0], strict=True):
        spreads = [(after - before.roll(shift, 1)).std(dim=1).max() for shift in range(32)]
        assert min(spreads) < 1e-5
        assert (after - before.roll(int(np.argmin(spreads)), 1)).abs().max() > 0.05
