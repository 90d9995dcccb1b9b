"""What a mask keeps of a note and what it removes make up the note, in files that can be played beside each other."""

from __future__ import annotations

import io
import wave as wave_file
from pathlib import Path

import numpy as np
import pytest

from raysweep.data.spectrum import NOTE
from raysweep.record.note_parts import PARTS, strung, write_parts


def note(pitch: float, loudness: float = 0.4) -> np.ndarray:
    time = np.arange(NOTE.samples) / NOTE.sample_rate
    return loudness * sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))


def masks(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 2, NOTE.bins))


def played(file: Path | io.BytesIO) -> np.ndarray:
    with wave_file.open(str(file) if isinstance(file, Path) else file) as found:
        assert (found.getnchannels(), found.getsampwidth(), found.getframerate()) == (1, 2, NOTE.sample_rate)
        return np.frombuffer(found.readframes(found.getnframes()), "<i2") / 32767


def band_powers(sound: np.ndarray) -> np.ndarray:
    """Power between the limits of each band, line by line."""
    lines = np.abs(np.fft.rfft(sound)) ** 2
    powers = np.zeros(NOTE.bins)
    for k, power in enumerate(lines):
        for band in np.flatnonzero((NOTE.edges[:-1] <= k) & (k < NOTE.edges[1:])):  # a line is 1 Hz wide
            powers[band] += power
    return powers


@pytest.mark.parametrize("loudness", [0.1, 0.99])  # the second leaves [-1, 1] in its parts
def test_each_band_of_a_note_is_heard_in_the_part_that_its_rounded_mask_says(tmp_path: Path, loudness: float) -> None:
    mask = masks(1)
    files, unheard = write_parts(tmp_path / "sounds", [note(220.0, loudness)], mask)
    assert [file.name for file in files] == ["0-note.wav", "0-kept.wav", "0-removed.wav"]
    assert unheard == []
    sounds = dict(zip(PARTS, map(played, files), strict=True))
    whole, kept, removed = (band_powers(sounds[name]) for name in PARTS)
    assert kept.sum() + removed.sum() == pytest.approx(whole.sum(), rel=1e-3)
    loud = whole > 1e-3 * whole.max()
    keeps = mask[0, 0, loud] > 0.5
    assert keeps.any()
    assert not keeps.all()
    np.testing.assert_allclose(kept[loud], whole[loud] * keeps, atol=1e-3 * whole.max())
    np.testing.assert_allclose(removed[loud], whole[loud] * ~keeps, atol=1e-3 * whole.max())


def test_parts_that_are_too_loud_are_turned_down_together_with_their_note(tmp_path: Path) -> None:
    loud = note(220.0, 0.99)
    files, _ = write_parts(tmp_path, [loud], masks(1))
    sounds = [played(file) for file in files]
    assert max(np.abs(sound).max() for sound in sounds) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(sounds[0] / np.abs(sounds[0]).max(), loud / np.abs(loud).max(), atol=1e-4)


def test_examples_without_a_wave_are_named_and_leave_no_file(tmp_path: Path) -> None:
    files, unheard = write_parts(tmp_path / "sounds", [None, note(220.0), None], masks(3), first=5)
    assert unheard == [5, 7]
    assert {path.name for path in (tmp_path / "sounds").iterdir()} == {f"6-{name}.wav" for name in PARTS}
    assert len(files) == 3
    assert write_parts(tmp_path / "none", [None], masks(1)) == ([], [0])
    assert not (tmp_path / "none").exists()


def test_the_first_notes_that_can_be_heard_are_strung_together() -> None:
    waves = [None, note(220.0), note(330.0), note(440.0)]
    found = strung(waves, masks(4), limit=2)
    assert list(found) == list(PARTS)
    sound = played(io.BytesIO(found["note"]))
    assert len(sound) == 2 * NOTE.samples
    for half, pitch in zip(sound.reshape(2, -1), (220, 330), strict=True):
        assert np.abs(np.fft.rfft(half)).argmax() == pitch
    assert strung([None], masks(1)) == {}
