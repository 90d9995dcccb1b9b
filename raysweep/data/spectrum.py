"""Notes as magnitude and phase on a logarithmic frequency axis, and masks of those as sounds.

What Heiß, Levie, Resnick, Kutyniok and Bruna (*In-distribution interpretability for challenging modalities*, 2020,
arXiv:2007.00758) explain: the power-normalised magnitude and the phase of the discrete Fourier transform of a whole
note. The axis is cut into bands of equal ratio. A band's magnitude is the root of the power in it; its phase is that of
the strongest line in it, so that both channels speak of the same partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import InputError

Wave = NDArray[np.floating]


@dataclass(frozen=True)
class SpectrumSpec:
    """How a spectrum is taken of a note: `sample_rate`, `fmin` and `fmax` in Hz, `bins` bands of equal ratio.

    At 256 bands of 20–8000 Hz a semitone has two and a half, and the first twenty partials of a note a band each.
    """

    sample_rate: int = 16000
    seconds: float = 1.0
    bins: int = 256
    fmin: float = 20.0
    fmax: float = 8000.0

    def __post_init__(self) -> None:
        if self.bins < 1 or self.samples < 2:
            raise InputError("there must be bins and samples", key="bins, seconds", value=(self.bins, self.seconds))
        if not 0 < self.fmin < self.fmax <= self.sample_rate / 2:
            raise InputError(
                "0 < fmin < fmax <= sample_rate / 2 must hold",
                key="fmin, fmax, sample_rate",
                value=(self.fmin, self.fmax, self.sample_rate),
            )

    @property
    def samples(self) -> int:
        """Length of a note."""
        return round(self.sample_rate * self.seconds)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The bands' limits in Hz, [bins + 1]."""
        return np.geomspace(self.fmin, self.fmax, self.bins + 1)


NOTE = SpectrumSpec()


def spectrum(wave: Wave, spec: SpectrumSpec = NOTE) -> NDArray[np.float32]:
    """Magnitude and phase of a note [n], or of each of several [..., n]: float32 [..., 2, bins].

    Row 0 is the magnitude over the root of its mean square, so that its mean square is 1; row 1 the phase in [-π, π].
    Each line of the transform stands for the band of frequencies around it, so bands narrower than the lines' spacing
    share the power of one.

    Raises:
        InputError: another number of samples than `spec.samples`, not finite, or nothing to hear between fmin and fmax.
    """
    lines = np.fft.rfft(_checked(wave, spec), axis=-1)
    power = np.square(lines.real) + np.square(lines.imag)
    magnitude = np.sqrt(power @ _shares(spec))
    level = np.sqrt(np.square(magnitude).mean(axis=-1, keepdims=True))
    if not level.all():
        raise InputError("a note must have power between fmin and fmax", value=f"{spec.fmin:g} to {spec.fmax:g} Hz")
    members = _members(spec)
    strongest = np.take_along_axis(
        np.broadcast_to(members, (*power.shape[:-1], *members.shape)),
        power[..., members].argmax(axis=-1)[..., None],
        axis=-1,
    )[..., 0]
    phase = np.angle(np.take_along_axis(lines, strongest, axis=-1))
    return np.stack([magnitude / level, phase], axis=-2).astype(np.float32)


def keep(wave: Wave, mask: Wave, spec: SpectrumSpec = NOTE, *, seed: int = 0) -> NDArray[np.float32]:
    """What a mask keeps of a note, to listen to: float32 [n], nothing outside fmin to fmax.

    Each line of the note's transform takes its band's values. Its magnitude is multiplied by the magnitude mask; its
    phase is turned by (1 − the phase mask) · u with u uniform in [-π, π]: a phase that is not kept at all is random,
    and random alike for the same seed.

    Args:
        wave: a note [n].
        mask: [2, bins] in [0, 1], for magnitude and phase.

    Raises:
        InputError: a wave or mask of another shape, or a mask outside [0, 1].
    """
    found = np.asarray(mask, np.float64)
    if found.shape != (2, spec.bins):
        raise InputError(f"a mask must be [2, {spec.bins}]", value=found.shape)
    if not ((found >= 0) & (found <= 1)).all():
        raise InputError("a mask must lie in [0, 1]", value=[float(found.min()), float(found.max())])
    lines = np.fft.rfft(_checked(wave, spec))
    band = band_of_line(spec)
    heard = band >= 0
    magnitude, phase = found[:, band[heard]]
    turn = np.random.default_rng(seed).uniform(-np.pi, np.pi, len(lines))[heard]
    kept = np.zeros_like(lines)
    kept[heard] = lines[heard] * magnitude * np.exp(1j * (1 - phase) * turn)
    return np.fft.irfft(kept, spec.samples).astype(np.float32)


def part(
    wave: Wave, mask: Wave, spec: SpectrumSpec = NOTE, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `mask` keeps of a note and what it removes (`keep` of 1 − mask), as two sounds."""
    return keep(wave, mask, spec, seed=seed), keep(wave, 1 - np.asarray(mask), spec, seed=seed)


@lru_cache(maxsize=8)
def band_of_line(spec: SpectrumSpec = NOTE) -> NDArray[np.int64]:
    """The band in which each line of a note's transform lies, -1 outside all: [n // 2 + 1], read-only.

    The line at half the sample rate is outside, for it has no phase.
    """
    frequency = np.fft.rfftfreq(spec.samples, 1 / spec.sample_rate)
    band = np.searchsorted(spec.edges, frequency, side="right") - 1
    band[(band >= spec.bins) | (frequency >= spec.sample_rate / 2)] = -1
    band.flags.writeable = False
    return band


@lru_cache(maxsize=8)
def _shares(spec: SpectrumSpec) -> NDArray[np.float64]:
    """How much of each line's power lies in each band, [n // 2 + 1, bins]; a line fills half its spacing either way."""
    spacing = spec.sample_rate / spec.samples
    middle = np.arange(spec.samples // 2 + 1)[:, None] * spacing
    low, high = spec.edges[:-1], spec.edges[1:]
    overlap = np.minimum(middle + spacing / 2, high) - np.maximum(middle - spacing / 2, low)
    return overlap.clip(0) / spacing


@lru_cache(maxsize=8)
def _members(spec: SpectrumSpec) -> NDArray[np.int64]:
    """The lines of each band, or the one nearest to its middle where there is none; short rows repeat: [bins, most]."""
    band, spacing = band_of_line(spec), spec.sample_rate / spec.samples
    nearest = np.rint(np.sqrt(spec.edges[:-1] * spec.edges[1:]) / spacing).astype(np.int64)
    rows = [np.flatnonzero(band == index) for index in range(spec.bins)]
    rows = [row if len(row) else nearest[index : index + 1] for index, row in enumerate(rows)]
    most = max(len(row) for row in rows)
    return np.stack([np.resize(row, most) for row in rows])


def _checked(wave: Wave, spec: SpectrumSpec) -> NDArray[np.float64]:
    found = np.asarray(wave, np.float64)
    if found.ndim < 1 or found.shape[-1] != spec.samples:
        raise InputError(f"a note must have {spec.samples} samples", value=found.shape)
    if not np.isfinite(found).all():
        raise InputError("a note must be finite")
    return found
