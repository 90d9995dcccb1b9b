"""Sound as log-mel pictures, and back: the features of Schlüter and Grill (ISMIR 2015), which the vocal zoo speaks.

A log-mel is log(max(M |STFT(wave)|, 1e-7)): Hann window, frames centred on multiples of `hop`, M the triangular filters
of `mel_filters`. The way back is Griffin and Lim (1984) with the momentum of Perraudin, Balazs and Søndergaard (2013).
"""

from __future__ import annotations

import wave as wave_file
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from raysweep.errors import InputError

FLOOR = 1e-7
# exp of this is some 200 times the loudest mel magnitude a full-scale sound can have; above it only the ratios matter.
_LOUDEST = 10.0


@dataclass(frozen=True)
class MelSpec:
    """How a log-mel is taken: rates in Hz, `n_fft` and `hop` in samples."""

    sample_rate: int = 22050
    n_fft: int = 1024
    hop: int = 315
    n_mels: int = 80
    fmin: float = 27.5
    fmax: float = 8000.0

    def __post_init__(self) -> None:
        if not 0 < self.hop <= self.n_fft:
            raise InputError("hop must be above 0 and at most n_fft", key="hop", value=self.hop)
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise InputError(
                "0 <= fmin < fmax <= sample_rate / 2 must hold",
                key="fmin, fmax, sample_rate",
                value=(self.fmin, self.fmax, self.sample_rate),
            )

    @classmethod
    def of(cls, numbers: NDArray[np.floating], key: str) -> MelSpec:
        """What `numbers` say, as data that are log-mels may have them beside their samples.

        Raises:
            InputError: they are not six, or not those of a log-mel.
        """
        found = np.asarray(numbers)
        if found.shape != (6,) or not np.isfinite(found).all() or (found[:4] % 1).any() or (found[1:4] < 1).any():
            rule = f"mel must be six numbers: {', '.join(field.name for field in fields(cls))}"
            raise InputError(rule, key=key, value=found.tolist())
        rate, n_fft, hop, n_mels = (int(number) for number in found[:4])
        return cls(rate, n_fft, hop, n_mels, float(found[4]), float(found[5]))

    @property
    def numbers(self) -> NDArray[np.float64]:
        """What `of` reads, float64 [6]."""
        return np.array(astuple(self), np.float64)


VOCAL = MelSpec()


def heard_with(media: str, mel: Sequence[float] | None) -> MelSpec | None:
    """How what is shown as `media` becomes sounds: None unless it is log-mels, which are `VOCAL` where nothing says."""
    if media != "logmel":
        return None
    return VOCAL if mel is None else MelSpec.of(np.asarray(mel), "mel")


@lru_cache(maxsize=8)
def mel_filters(spec: MelSpec = VOCAL) -> NDArray[np.float32]:
    """Triangles evenly spaced in HTK mel, 1127 ln(1 + f / 700), each of sum 1: [n_mels, n_fft / 2 + 1], read-only."""
    low, high = (1127 * np.log1p(f / 700) for f in (spec.fmin, spec.fmax))
    corners = 700 * np.expm1(np.linspace(low, high, spec.n_mels + 2) / 1127)
    bins = np.arange(spec.n_fft // 2 + 1) * spec.sample_rate / spec.n_fft
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = triangles.sum(axis=1, keepdims=True)
    if not area.all():
        raise InputError("every mel band must hold a frequency bin", key="n_mels", value=spec.n_mels)
    filters: NDArray[np.float32] = (triangles / area).astype(np.float32)
    filters.flags.writeable = False
    return filters


def log_mel(wave: NDArray[np.floating], spec: MelSpec = VOCAL) -> NDArray[np.float32]:
    """The log-mel of a mono `wave` [n] in [-1, 1]: float32 [n_mels, 1 + n // hop], natural log of the magnitude.

    Raises:
        InputError: the wave is not mono, or too short for one window.
    """
    if wave.ndim != 1 or len(wave) <= spec.n_fft // 2:
        raise InputError(f"a sound must be mono and longer than {spec.n_fft // 2} samples", value=wave.shape)
    magnitude = _stft(torch.from_numpy(np.ascontiguousarray(wave, np.float32)), spec).abs().numpy()
    mel: NDArray[np.float32] = mel_filters(spec) @ magnitude
    return np.log(np.maximum(mel, np.float32(FLOOR)))


def griffin_lim(
    log_mel: NDArray[np.floating],
    spec: MelSpec = VOCAL,
    *,
    iterations: int = 64,
    momentum: float = 0.99,
    seed: int = 0,
) -> NDArray[np.float32]:
    """A sound with about this log-mel [n_mels, frames]: float32 [(frames - 1) · hop], the same for the same seed.

    A picture louder than any real sound (an overshooting explanation) is turned down as a whole, so that it is heard.

    Raises:
        InputError: the log-mel has another number of bands, under two frames, or a value that is not finite.
    """
    if log_mel.ndim != 2 or log_mel.shape[0] != spec.n_mels or log_mel.shape[1] < 2:
        raise InputError(f"a log-mel must be [{spec.n_mels}, 2 frames or more]", value=log_mel.shape)
    if not np.isfinite(log_mel).all():
        raise InputError("a log-mel must be finite")
    samples = (log_mel.shape[1] - 1) * spec.hop
    magnitude = torch.from_numpy(_linear_magnitude(log_mel, spec))
    angles = 2 * np.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(seed))
    phase = torch.polar(torch.ones_like(angles), angles)
    previous = torch.zeros_like(phase)
    for _ in range(iterations):
        rebuilt = _stft(_istft(magnitude * phase, samples, spec), spec)
        ahead = rebuilt + momentum * (rebuilt - previous)
        phase = ahead / ahead.abs().clamp_min(1e-12)
        previous = rebuilt
    sound: NDArray[np.float32] = _istft(magnitude * phase, samples, spec).numpy()
    return sound


def write_wav(path: str | Path, wave: NDArray[np.floating], rate: int = VOCAL.sample_rate) -> None:
    """Write a mono `wave` [n] as 16-bit PCM; one that leaves [-1, 1] is scaled to a peak of 1 instead of clipped."""
    scaled = wave / max(1.0, float(np.abs(wave).max(initial=0.0)))
    with wave_file.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(scaled * 32767).astype("<i2").tobytes())


def _linear_magnitude(log_mel: NDArray[np.floating], spec: MelSpec, updates: int = 100) -> NDArray[np.float32]:
    """The S ≥ 0 with M S ≈ mel in least squares, by multiplicative updates (Lee and Seung, 2001): [bins, frames]."""
    loud = max(0.0, float(log_mel.max()) - _LOUDEST)
    mel = np.exp(np.asarray(log_mel, np.float64) - loud)
    filters = mel_filters(spec).astype(np.float64)
    gram, target = filters.T @ filters, filters.T @ mel
    linear = target / np.maximum(filters.sum(axis=0), 1e-9)[:, None]
    for _ in range(updates):
        linear *= target / np.maximum(gram @ linear, 1e-30)
    return linear.astype(np.float32)


def _stft(wave: torch.Tensor, spec: MelSpec) -> torch.Tensor:
    window = torch.hann_window(spec.n_fft)
    return torch.stft(wave, spec.n_fft, spec.hop, window=window, center=True, return_complex=True)


def _istft(spectrum: torch.Tensor, samples: int, spec: MelSpec) -> torch.Tensor:
    window = torch.hann_window(spec.n_fft)
    return torch.istft(spectrum, spec.n_fft, spec.hop, window=window, center=True, length=samples)
