"""Contact sheets show every explanation, at a visible size, the right way up; sound can be played."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep.data import audio
from raysweep.data.load import load_data
from raysweep.record.sheets import contact_sheet, draw_sheet, pictures, write_audio


@pytest.fixture(scope="module")
def shoes() -> np.ndarray:
    return load_data("zoo://fashion/test").x[:50]


def test_fifty_small_images_become_a_grid_enlarged_by_a_whole_factor(shoes: np.ndarray, tmp_path: Path) -> None:
    sheet = Image.open(contact_sheet(shoes, "image", tmp_path / "sheet.png"))
    pixels = np.asarray(sheet)
    assert sheet.size == (10 * 88 + 4, 5 * 88 + 4)
    cell = pixels[4:88, 4:88, 0]
    assert (cell[::3, ::3] == np.round(shoes[0, 0] * 255)).all()
    assert (cell == cell[::3, ::3].repeat(3, 0).repeat(3, 1)).all()


def test_colour_images_keep_their_channels() -> None:
    red = np.zeros((1, 3, 8, 8), np.float32)
    red[:, 0] = 1
    assert (pictures(red, "image") == [255, 0, 0]).all()


def test_values_outside_the_range_are_clipped_and_not_finite_ones_are_black() -> None:
    odd = np.array([2.0, -1.0, np.nan, np.inf], np.float32).reshape(1, 1, 2, 2)
    assert pictures(odd, "image")[0, :, :, 0].tolist() == [[255, 0], [0, 0]]


def test_low_frequencies_of_a_log_mel_are_at_the_bottom() -> None:
    mel = np.full((1, 1, 80, 115), -16.0, np.float32)
    mel[:, :, :10] = 0.0
    drawn = pictures(mel, "logmel")[0].sum(axis=-1)
    assert drawn[-1].mean() > drawn[0].mean()


def test_vectors_are_drawn_as_lines_and_matrices_as_heat_maps() -> None:
    assert pictures(np.random.default_rng(0).normal(size=(3, 20)), "array").shape == (3, 72, 120, 3)
    assert pictures(np.random.default_rng(0).normal(size=(3, 9, 7)), "array").shape == (3, 9, 7, 3)


@pytest.mark.parametrize(("shape", "media"), [((3, 20), "image"), ((3, 20), "logmel"), ((3, 2, 9, 7), "logmel")])
def test_what_is_not_of_its_medium_is_drawn_as_an_array(shape: tuple[int, ...], media: str) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    assert (pictures(x, media) == pictures(x, "array")).all()


def test_a_long_title_takes_lines_of_its_own_and_leaves_the_grid_as_narrow_as_it_is(shoes: np.ndarray) -> None:
    title = "sweep #3   " + "  ".join(f"hyper_parameter_{index} 0.1" for index in range(12)) + "  one two " * 40
    plain, titled = (draw_sheet(shoes[:16], "image", columns=8, title=text) for text in (None, title))
    assert titled.width == plain.width
    assert np.array_equal(np.asarray(titled)[-plain.height + 4 :], np.asarray(plain)[4:])
    above = np.asarray(titled)[: titled.height - plain.height + 4, :, 0] < 128
    assert not above[:, -4:].any()  # no line runs over the edge
    lines = np.diff(above.any(axis=1).astype(int)) == 1
    words = draw_sheet(shoes[:1], "image", title=title)
    assert lines.sum() > 3
    assert words.width < 500


@pytest.mark.parametrize("count", [1, 2, 7, 64, 100])
def test_any_number_of_explanations_gives_a_sheet_of_at_most_the_limit(count: int) -> None:
    sheet = draw_sheet(np.ones((count, 1, 28, 28), np.float32), "image", limit=64)
    white = (np.asarray(sheet)[::4, ::4] == 255).all()
    assert white
    assert sheet.width * sheet.height >= min(count, 64) * 84 * 84


def test_sound_of_log_mels_plays_for_as_long_as_its_excerpts_and_gaps(tmp_path: Path) -> None:
    time = np.arange(22050) / 22050
    mel = audio.log_mel(0.3 * np.sin(2 * np.pi * 440 * time))[None, None].repeat(2, axis=0)
    path = write_audio(mel, tmp_path / "sound.wav", examples=2)
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert file.getframerate() == 22050
    assert len(sound) == 2 * (mel.shape[-1] - 1) * 315 + 22050 // 4
    spectrum = np.abs(np.fft.rfft(sound[:20000]))
    assert abs(np.argmax(spectrum) * 22050 / 20000 - 440) < 30


@pytest.mark.parametrize("shape", [(2, 1, 64, 40), (2, 1, 80, 1), (2, 2, 80, 40), (2, 80)])
def test_what_cannot_be_turned_back_into_sound_leaves_no_file(shape: tuple[int, ...], tmp_path: Path) -> None:
    assert write_audio(np.zeros(shape, np.float32), tmp_path / "sound.wav") is None
    assert list(tmp_path.iterdir()) == []
