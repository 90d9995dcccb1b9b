"""Notes as spectra against a slow reference, and masks of them as sounds."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from raysweep.data.spectrum import NOTE, SpectrumSpec, band_of_line, keep, part, spectrum
from raysweep.errors import InputError

SMALL = SpectrumSpec(sample_rate=800, seconds=0.5, bins=24, fmin=10.0, fmax=400.0)


def _note(spec: SpectrumSpec = NOTE, pitch: float = 220.0) -> np.ndarray:
    """Decaying partials over a little noise."""
    time = np.arange(spec.samples) / spec.sample_rate
    partials = range(1, 1 + int(0.45 * spec.sample_rate / pitch))
    tones = sum(np.sin(2 * np.pi * pitch * k * time + k) / k * np.exp(-2 * k * time) for k in partials)
    return tones + 1e-3 * np.random.default_rng(0).standard_normal(spec.samples)


def _lines(wave: np.ndarray) -> list[complex]:
    """The transform by its definition."""
    n = len(wave)
    return [sum(wave[t] * cmath.exp(-2j * math.pi * k * t / n) for t in range(n)) for k in range(n // 2 + 1)]


def _slow(wave: np.ndarray, spec: SpectrumSpec) -> tuple[list[float], list[float]]:
    """One band at a time: the power of the lines as far as they lie in it, the phase of its strongest line."""
    lines, spacing = _lines(wave), spec.sample_rate / len(wave)
    ratio = (spec.fmax / spec.fmin) ** (1 / spec.bins)
    magnitudes, phases = [], []
    for band in range(spec.bins):
        low, high = spec.fmin * ratio**band, spec.fmin * ratio ** (band + 1)
        power = 0.0
        for k, line in enumerate(lines):
            inside = min((k + 0.5) * spacing, high) - max((k - 0.5) * spacing, low)
            power += abs(line) ** 2 * max(0.0, inside) / spacing
        members = [k for k in range(len(lines) - 1) if low <= k * spacing < high]
        members = members or [round(math.sqrt(low * high) / spacing)]
        magnitudes.append(math.sqrt(power))
        phases.append(cmath.phase(max((lines[k] for k in members), key=abs)))
    level = math.sqrt(sum(m * m for m in magnitudes) / spec.bins)
    return [m / level for m in magnitudes], phases


def _energy(wave: np.ndarray) -> float:
    return float(np.square(wave.astype(float)).sum())


def _banded(wave: np.ndarray, spec: SpectrumSpec = NOTE) -> np.ndarray:
    """The wave without what lies outside fmin to fmax, by zeroing lines."""
    lines, frequency = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / spec.sample_rate)
    lines[(frequency < spec.fmin) | (frequency >= spec.fmax)] = 0
    return np.fft.irfft(lines, len(wave))


def test_a_spectrum_agrees_with_its_definition() -> None:
    wave = _note(SMALL, pitch=31.0)
    magnitude, phase = _slow(wave, SMALL)
    found = spectrum(wave, SMALL)
    np.testing.assert_allclose(found[0], magnitude, rtol=1e-5)
    np.testing.assert_allclose(np.exp(1j * found[1]), np.exp(1j * np.array(phase)), atol=1e-5)


def test_magnitudes_have_mean_square_one_and_phases_lie_within_pi() -> None:
    found = spectrum(_note())
    assert found.shape == (2, NOTE.bins)
    assert found.dtype == np.float32
    assert np.square(found[0]).mean() == pytest.approx(1, rel=1e-5)
    assert np.abs(found[1]).max() <= np.float32(np.pi)


def test_loudness_changes_nothing() -> None:
    np.testing.assert_allclose(spectrum(_note()), spectrum(0.01 * _note()), atol=1e-5)


def test_several_notes_are_as_each_by_itself() -> None:
    notes = np.stack([_note(pitch=110.0), _note(pitch=330.0)])
    assert np.array_equal(spectrum(notes), np.stack([spectrum(note) for note in notes]))


def test_a_pure_tone_lies_in_the_one_band_around_it_with_its_phase() -> None:
    tone = np.cos(2 * np.pi * 1000 * np.arange(NOTE.samples) / NOTE.sample_rate + 0.7)
    magnitude, phase = spectrum(tone)
    band = int(magnitude.argmax())
    assert NOTE.edges[band] <= 1000 < NOTE.edges[band + 1]
    assert magnitude[band] == pytest.approx(math.sqrt(NOTE.bins), rel=1e-3)
    assert phase[band] == pytest.approx(0.7, abs=1e-4)


def test_a_mask_of_ones_gives_the_note_back_between_20_and_8000_hz() -> None:
    note = _note() + 3.0 + np.cos(2 * np.pi * 10 * np.arange(NOTE.samples) / NOTE.sample_rate)
    kept = keep(note, np.ones((2, NOTE.bins)))
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, _banded(note), atol=1e-5)
    assert _energy(kept - note) > 100  # the offset and the 10 Hz tone


def test_a_mask_of_zeros_is_silence() -> None:
    assert not keep(_note(), np.zeros((2, NOTE.bins))).any()


@pytest.mark.parametrize("phase", [0.0, 1.0])
def test_what_is_kept_and_what_is_removed_share_the_notes_energy(phase: float) -> None:
    magnitude = np.random.default_rng(1).integers(0, 2, NOTE.bins)
    kept, removed = part(_note(), np.stack([magnitude, np.full(NOTE.bins, phase)]))
    assert _energy(kept) + _energy(removed) == pytest.approx(_energy(_banded(_note())), rel=1e-5)
    assert min(_energy(kept), _energy(removed)) > 0


def test_magnitudes_are_multiplied_by_their_bands_mask() -> None:
    mask = np.stack([np.random.default_rng(2).random(NOTE.bins), np.ones(NOTE.bins)])
    heard, before = (np.fft.rfft(wave) for wave in (keep(_note(), mask), _note()))
    band = band_of_line()
    inside = band >= 0
    np.testing.assert_allclose(heard[inside], before[inside] * mask[0, band[inside]], atol=1e-3)
    assert np.abs(heard[~inside]).max() < 1e-3


def test_a_phase_that_is_not_kept_is_random_and_leaves_the_magnitudes() -> None:
    mask = np.stack([np.ones(NOTE.bins), np.zeros(NOTE.bins)])
    one, other, again = (keep(_note(), mask, seed=seed) for seed in (0, 1, 0))
    assert np.array_equal(one, again)
    assert _energy(one - other) > 0.5 * _energy(one)
    np.testing.assert_allclose(spectrum(one)[0], spectrum(_banded(_note()))[0], atol=1e-3)


def test_a_phase_that_is_half_kept_is_turned_by_a_quarter_at_most() -> None:
    mask = np.stack([np.ones(NOTE.bins), np.full(NOTE.bins, 0.75)])
    inside = band_of_line() >= 0
    turned = np.fft.rfft(keep(_note(), mask))[inside] / np.fft.rfft(_note())[inside]
    assert 0.7 < np.abs(np.angle(turned)).max() <= np.pi / 4 + 1e-2


def test_a_band_kept_alone_is_heard_alone() -> None:
    mask = np.zeros((2, NOTE.bins))
    mask[:, 100:130] = 1
    power = np.square(np.abs(np.fft.rfft(keep(_note(), mask))))
    frequency = np.arange(len(power))
    inside = (frequency >= NOTE.edges[100]) & (frequency < NOTE.edges[130])
    assert power[inside].sum() > 1
    assert power[~inside].sum() < 1e-6 * power[inside].sum()


def test_every_line_between_the_limits_lies_in_the_band_that_holds_its_frequency() -> None:
    band = band_of_line()
    heard = np.flatnonzero(band >= 0)
    assert heard.tolist() == list(range(20, 8000))
    assert (NOTE.edges[band[heard]] <= heard).all()
    assert (heard < NOTE.edges[band[heard] + 1]).all()


@pytest.mark.parametrize("wave", [np.zeros(100), np.full(16000, np.nan), np.zeros(16000), np.array(1.0)])
def test_what_is_no_note_is_refused(wave: np.ndarray) -> None:
    with pytest.raises(InputError, match="note must"):
        spectrum(wave)


@pytest.mark.parametrize(
    ("mask", "rule"), [(np.ones(256), "must be"), (np.full((2, 256), 1.5), r"in \[0, 1\]"), (np.nan, "must be")]
)
def test_what_is_no_mask_is_refused(mask: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        keep(_note(), mask)


@pytest.mark.parametrize(
    ("change", "key"), [({"fmax": 9000.0}, "fmax"), ({"fmin": 0.0}, "fmin"), ({"bins": 0}, "bins")]
)
def test_a_spec_that_cannot_be_taken_is_refused(change: dict[str, float], key: str) -> None:
    with pytest.raises(InputError, match=key):
        SpectrumSpec(**change)  # type: ignore[arg-type]
