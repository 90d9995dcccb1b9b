"""What is played and sung: random melodies on a scale, and the exact pitch of someone singing them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from raysweep.data.audio import VOCAL
from raysweep.zoo.vocal.networks import FRAMES

RATE = VOCAL.sample_rate
MARGIN = 3  # frames cut off at both ends, so that no padding is in the picture
SAMPLES = (FRAMES + 2 * MARGIN) * VOCAL.hop
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))

Wave = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Note:
    """A MIDI key from `start` to `end` seconds."""

    key: float
    start: float
    end: float


def melody(rng: Rng, root: int, scale: tuple[int, ...], middle: float) -> list[Note]:
    """A walk of notes on the scale near the key `middle`, without gaps, over the excerpt."""
    ladder = np.array([root + 12 * octave + tone for octave in range(2, 9) for tone in scale])
    place, now, notes = int(np.abs(ladder - middle).argmin()), 0.0, []
    while now < SAMPLES / RATE:
        held = rng.uniform(0.18, 1.1)
        notes.append(Note(float(ladder[place]), now, now + held))
        place, now = int(np.clip(place + rng.integers(-3, 4), 0, len(ladder) - 1)), now + held
    return notes


def contour(notes: list[Note], times: Wave, rng: Rng) -> Wave:
    """The pitch of a melody in MIDI keys at `times` (evenly spaced): glides between notes, vibrato, a slow drift."""
    steps = np.array([sounding(notes, t).key for t in times])
    per_second = 1 / (times[1] - times[0])
    glide = signal.windows.hann(max(3, int(rng.uniform(0.03, 0.12) * per_second)) | 1, sym=True) + 1e-3
    smooth = signal.convolve(np.pad(steps, len(glide) // 2, mode="edge"), glide / glide.sum(), "valid")
    rate, depth = rng.uniform(4.5, 6.5), rng.uniform(0, 0.7)
    grown = np.array([min(1.0, (t - sounding(notes, t).start) / 0.35) for t in times])
    drift = 0.15 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * times + rng.random()))
    pitch: Wave = smooth + depth * grown * np.sin(2 * np.pi * (rate * times + rng.random())) + drift
    return pitch


def sounding(notes: list[Note], time: float) -> Note:
    """The note that sounds at `time`, or the last one."""
    return next((note for note in notes if note.end > time), notes[-1])
