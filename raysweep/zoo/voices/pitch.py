"""How high a voice is: the fundamental frequency of a sound by its autocorrelation (after Boersma, 1993)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 70.0, 400.0
"""Hz; speech lies between."""
VOICED, OCTAVE = 0.5, 0.85
"""The correlation from which a frame has a pitch; of the best correlation, what the shortest lag must reach."""
WINDOW, STEP = 0.06, 0.015  # seconds
_QUIET = 0.1  # of the loudest frame


def pitches(wave: NDArray[np.floating[Any]], rate: int) -> NDArray[np.float64]:
    """The pitch of each voiced frame of a sound [n], in Hz: [frames], none for a sound without pitch.

    A frame's autocorrelation is divided by that of its window. The shortest lag that is nearly as good as the best one
    counts, or half of a pitch would do as well as the pitch.
    """
    size, step = round(WINDOW * rate), round(STEP * rate)
    if len(wave) < size:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float64), size)[::step]
    window = np.hanning(size)
    level = np.sqrt(np.square(frames).mean(axis=1))
    frames = (frames - frames.mean(axis=1, keepdims=True))[level > _QUIET * level.max(initial=1e-9)]
    correlation = _autocorrelation(frames * window) / np.maximum(_autocorrelation(window), 1e-9)
    correlation /= np.maximum(correlation[:, :1], 1e-12)
    first, last = int(rate / HIGHEST), int(np.ceil(rate / LOWEST))
    inside = correlation[:, first - 1 : last + 2]
    peak = (inside[:, 1:-1] >= inside[:, :-2]) & (inside[:, 1:-1] > inside[:, 2:])
    heights = np.where(peak, inside[:, 1:-1], -1.0)
    best = heights.max(axis=1)
    voiced = best > VOICED
    place = (heights[voiced] >= OCTAVE * best[voiced, None]).argmax(axis=1)
    around = inside[voiced][np.arange(len(place))[:, None], place[:, None] + np.arange(3)]
    bend = around[:, 0] - 2 * around[:, 1] + around[:, 2]
    offset = 0.5 * (around[:, 0] - around[:, 2]) / np.where(bend == 0, 1.0, bend)
    return rate / (first + place + offset)


def median_pitch(wave: NDArray[np.floating[Any]], rate: int, frames: int = 10) -> float:
    """The median of `pitches`; NaN of a sound with fewer voiced frames."""
    found = pitches(wave, rate)
    return float(np.median(found)) if len(found) >= frames else float("nan")


def _autocorrelation(x: NDArray[np.float64]) -> NDArray[np.float64]:
    size = x.shape[-1]
    power = np.square(np.abs(np.fft.rfft(x, 2 * size, axis=-1)))
    found: NDArray[np.float64] = np.fft.irfft(power, axis=-1)[..., :size]
    return found
