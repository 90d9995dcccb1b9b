"""Sounds come with their spectra or not at all, and are found again by the digits of a spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.data.load import load_data
from raysweep.data.spectrum import NOTE, spectrum
from raysweep.data.waves import FULL_SCALE, waves_of
from raysweep.errors import InputError


def tones(count: int) -> np.ndarray:
    """Waves of falling tones, int16 [count, samples]."""
    time = np.arange(NOTE.samples) / NOTE.sample_rate
    pitch = 220.0 * 2 ** (np.arange(count)[:, None] / 5)
    return np.round(0.5 * FULL_SCALE * np.sin(2 * np.pi * pitch * time) * np.exp(-3 * time)).astype(np.int16)


WAVES = tones(4)
X = spectrum(tones(6) / FULL_SCALE)


def saved(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "notes.npz", **{"x": X, **arrays})
    return str(folder / "notes.npz")


def test_data_without_waves_cannot_be_heard(tmp_path: Path) -> None:
    data = load_data(saved(tmp_path), media="spectrum")
    assert (data.waves, data.heard) == (None, 0)
    assert waves_of(data.x, data.x, data.waves) == [None] * 6


def test_waves_are_of_the_first_spectra_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    silent = load_data(saved(tmp_path), media="spectrum")
    few, more = (load_data(saved(tmp_path, waves=WAVES[:count]), media="spectrum") for count in (2, 4))
    assert more.waves is not None
    assert np.array_equal(more.waves, WAVES)
    assert (few.heard, more.heard) == (2, 4)
    assert len({data.fingerprint for data in (silent, few, more)}) == 3


def test_waves_beside_other_media_are_passed_over(tmp_path: Path) -> None:
    assert load_data(saved(tmp_path, waves=np.zeros(3)), media="array").waves is None


def test_each_sample_gets_its_own_wave_whatever_the_order() -> None:
    found = waves_of(X[[3, 5, 0]], X, WAVES)
    assert found[1] is None  # the data have waves of the first four
    for wave, index in ((found[0], 3), (found[2], 0)):
        assert wave is not None
        assert np.array_equal(wave, WAVES[index] / 32767)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"waves": WAVES / FULL_SCALE}, "waves must be int16"),
        ({"waves": WAVES[:, :-1]}, r"waves must be int16 \[K, 16000\], the first K ≤ 6 samples at 16000 Hz"),
        ({"waves": tones(7)}, r"waves must be .* \(found 'int16 \[7, 16000\]'\)"),
        ({"waves": WAVES[:0]}, r"waves must be .* \(found 'int16 \[0, 16000\]'\)"),
        ({"waves": WAVES, "x": X[:, :, :128]}, r"x must be \[N, 2, 256\] where waves come with it"),
        ({"waves": WAVES[::-1]}, r"each wave must be the sound of the spectrum at its place \(found 0\)"),
        ({"waves": WAVES[[0, 1, 1]]}, r"each wave must be the sound of the spectrum at its place \(found 2\)"),
    ],
)
def test_waves_that_are_not_those_of_the_spectra_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"data.source: {message}"):
        load_data(saved(tmp_path, **arrays), media="spectrum", key="data.source")


def test_the_zoos_notes_can_be_heard() -> None:
    data = load_data("zoo://notes/test")
    assert data.heard == 160
    wave, none = waves_of(data.x[[159, 160]], data.x, data.waves)
    assert wave is not None
    assert none is None
    np.testing.assert_allclose(spectrum(wave)[0], data.x[159, 0], atol=5e-3)
