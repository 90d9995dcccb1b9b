"""Log-mel features against a slow reference, and the way back to sound."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from raysweep.data.audio import FLOOR, MelSpec, griffin_lim, heard_with, log_mel, mel_filters, write_wav
from raysweep.errors import InputError


def _sound(seconds: float = 1.0, rate: int = 22050) -> np.ndarray:
    """A few harmonics that fade in, over a little noise."""
    time = np.arange(int(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * 220 * k * time + k) / k for k in range(1, 9))
    return (0.1 * tones * np.minimum(1, 3 * time) + 1e-3 * np.random.default_rng(0).standard_normal(len(time))).astype(
        np.float32
    )


def _slow_log_mel(sound: np.ndarray, spec: MelSpec) -> np.ndarray:
    """The definition, one frame and one band at a time."""
    padded = np.pad(sound.astype(float), spec.n_fft // 2, mode="reflect")
    window = signal.get_window("hann", spec.n_fft)
    frames = range(0, len(padded) - spec.n_fft + 1, spec.hop)
    magnitudes = np.array([abs(np.fft.rfft(window * padded[i : i + spec.n_fft])) for i in frames])
    top, bottom = (1127 * math.log(1 + f / 700) for f in (spec.fmax, spec.fmin))
    corner = [
        700 * (math.exp((bottom + k * (top - bottom) / (spec.n_mels + 1)) / 1127) - 1) for k in range(spec.n_mels + 2)
    ]
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate)
    bands = []
    for k in range(spec.n_mels):
        weight = np.interp(bins, corner[k : k + 3], [0, 1, 0], left=0, right=0)
        bands.append(np.log(np.maximum(magnitudes @ weight / weight.sum(), FLOOR)))
    return np.array(bands)


def test_log_mel_agrees_with_its_definition() -> None:
    spec, sound = MelSpec(), _sound(0.3)
    np.testing.assert_allclose(log_mel(sound, spec), _slow_log_mel(sound, spec), atol=2e-3)


def test_any_log_mel_agrees_with_its_definition_and_brings_a_tone_back() -> None:
    spec, sound = MelSpec(8000, 512, 250, 32, 60.0, 3700.0), _sound(0.3, 8000)
    np.testing.assert_allclose(log_mel(sound, spec), _slow_log_mel(sound, spec), atol=2e-3)
    time = np.arange(31 * 250) / 8000
    for frequency in (220.0, 440.0, 1000.0):
        tone = (0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
        spectrum = np.abs(np.fft.rfft(griffin_lim(log_mel(tone, spec), spec)))
        assert abs(np.fft.rfftfreq(len(tone), 1 / 8000)[spectrum.argmax()] - frequency) < 25


def test_six_numbers_say_how_a_log_mel_is_taken() -> None:
    spec = MelSpec(8000, 512, 250, 32, 60.0, 3700.0)
    assert MelSpec.of(spec.numbers, "data") == spec
    assert (heard_with("image", None), heard_with("logmel", None)) == (None, MelSpec())
    assert heard_with("logmel", spec.numbers.tolist()) == spec
    for wrong in (spec.numbers[:5], [8000, 512, 250, 31.5, 60, 3700], [8000, 512, 0, 32, 60, 3700], [np.nan] * 6):
        with pytest.raises(InputError, match="six numbers: sample_rate, n_fft, hop, n_mels, fmin, fmax"):
            MelSpec.of(np.array(wrong), "data")
    with pytest.raises(InputError, match="fmin < fmax"):
        MelSpec.of(np.array([8000, 512, 250, 32, 60, 5000]), "data")


def test_log_mel_agrees_with_scipys_stft_away_from_the_ends() -> None:
    spec, sound = MelSpec(), _sound(0.3)
    transform = signal.ShortTimeFFT(signal.get_window("hann", spec.n_fft), spec.hop, spec.sample_rate)
    magnitudes = abs(transform.stft(sound.astype(float), p0=2, p1=18))
    np.testing.assert_allclose(log_mel(sound, spec)[:, 2:18], np.log(mel_filters(spec) @ magnitudes), atol=2e-3)


def test_a_frame_is_one_hop_and_115_of_them_are_the_papers_excerpt() -> None:
    assert log_mel(np.zeros(114 * 315, np.float32)).shape == (80, 115)


def test_silence_lies_on_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(22050, np.float32)), math.log(1e-7), rtol=1e-6)


def test_a_pure_tone_is_loudest_in_the_band_around_it() -> None:
    spec = MelSpec()
    tone = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)
    band = int(log_mel(tone)[:, 30].argmax())
    bins = np.arange(513) * spec.sample_rate / spec.n_fft
    assert abs(float(mel_filters(spec)[band] @ bins) - 1000) < 40


def test_every_mel_filter_sums_to_one() -> None:
    np.testing.assert_allclose(mel_filters(MelSpec()).sum(axis=1), 1, rtol=1e-5)


def test_griffin_lim_gives_a_sound_with_nearly_the_same_log_mel() -> None:
    spec = MelSpec()
    wanted = np.exp(log_mel(_sound(), spec))
    heard = np.exp(log_mel(griffin_lim(np.log(wanted), spec), spec))[:, : wanted.shape[1]]
    assert np.linalg.norm(heard - wanted) / np.linalg.norm(wanted) < 0.1


def test_griffin_lim_improves_with_its_iterations() -> None:
    wanted = log_mel(_sound())

    def distance(iterations: int) -> float:
        heard = log_mel(griffin_lim(wanted, iterations=iterations))
        return float(np.linalg.norm(np.exp(heard) - np.exp(wanted)))

    assert distance(60) < 0.5 * distance(1)


def test_griffin_lim_is_the_same_for_the_same_seed() -> None:
    mel = log_mel(_sound(0.3))
    assert np.array_equal(griffin_lim(mel, seed=3), griffin_lim(mel, seed=3))
    assert not np.array_equal(griffin_lim(mel, seed=3), griffin_lim(mel, seed=4))


def test_an_overshooting_log_mel_still_gives_a_finite_sound() -> None:
    assert np.isfinite(griffin_lim(log_mel(_sound(0.3)) + 500, iterations=4)).all()


@pytest.mark.parametrize("mel", [np.zeros((79, 10)), np.zeros(80), np.zeros((80, 1)), np.full((80, 10), np.nan)])
def test_griffin_lim_refuses_what_is_no_log_mel(mel: np.ndarray) -> None:
    with pytest.raises(InputError, match="log-mel"):
        griffin_lim(mel)


@pytest.mark.parametrize("sound", [np.zeros((2, 22050)), np.zeros(100)])
def test_log_mel_refuses_stereo_and_too_short_sounds(sound: np.ndarray) -> None:
    with pytest.raises(InputError, match="mono"):
        log_mel(sound)


@pytest.mark.parametrize(
    ("change", "key"), [({"hop": 0}, "hop"), ({"fmax": 12000.0}, "fmax"), ({"n_mels": 400}, "n_mels")]
)
def test_a_spec_that_cannot_be_taken_is_refused(change: dict[str, float], key: str) -> None:
    with pytest.raises(InputError, match=key):
        mel_filters(MelSpec(**change))  # type: ignore[arg-type]


def test_a_wav_file_holds_the_sound_at_sixteen_bits(tmp_path: Path) -> None:
    sound = _sound(0.1)
    write_wav(tmp_path / "tone.wav", sound, 22050)
    with wave.open(str(tmp_path / "tone.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (22050, 2, 1)
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    np.testing.assert_allclose(read, sound, atol=1 / 32767)


def test_a_sound_that_is_too_loud_is_turned_down_rather_than_clipped(tmp_path: Path) -> None:
    write_wav(tmp_path / "loud.wav", np.array([0.0, 1.0, -4.0]), 8000)
    with wave.open(str(tmp_path / "loud.wav")) as file:
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [0, 8192, -32767]
