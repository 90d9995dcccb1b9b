"""A second of sound for each excerpt, as a log-mel [32, 32] in steps of 1/16 natural units (half a decibel).

All sounds come to 8 kHz, are filtered to 60–3700 Hz, brought to one loudness, and get one faint noise, so that neither
level nor bandwidth nor silence of a recording tells its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from raysweep.data.audio import MelSpec, log_mel
from raysweep.zoo.soundfonts import require
from raysweep.zoo.voices.sources import SOURCES, SPLITS, Source, recordings

MEL = MelSpec(sample_rate=8000, n_fft=512, hop=250, n_mels=32, fmin=60.0, fmax=3700.0)
FRAMES = 32
SAMPLES = (FRAMES - 1) * MEL.hop
LOW, HIGH, LEVELS = -4.0, 5.0, 16
"""What log-mels are clipped to, and steps of a natural unit."""
RMS, NOISE = 0.1, 10 ** (-45 / 20)
SIZES = {"classifier": 2000, "judge": 1200, "seen": 1200, "test": 300}
"""Excerpts of a class, where its recordings have as many."""
PER_FILE, HEARD = 16, 0.35  # the most excerpts of one recording; the share of a second that must be heard
_BAND = signal.butter(4, (60, 3700), "bandpass", fs=MEL.sample_rate, output="sos")
Wave = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Excerpts:
    """x float16 [N, 1, 32, 32], y int64 [N], and which recording each is of, "source/file"."""

    x: NDArray[np.float16]
    y: NDArray[np.int64]
    recording: NDArray[np.str_]


def excerpts(split: str, root: Path) -> Excerpts:
    """All excerpts of a split, each class's sources by turns until it has `SIZES` or no more; shuffled."""
    size = SIZES[split]
    rows: list[tuple[NDArray[np.float16], int, str]] = []
    sources = SOURCES[SPLITS[split]]
    for label in sorted({source.label for source in sources}):
        streams = [_of_source(source, split, root) for source in sources if source.label == label]
        mine: list[tuple[NDArray[np.float16], int, str]] = []
        while streams and len(mine) < size:
            for stream in list(streams):
                found = next(stream, None)
                if found is None:
                    streams.remove(stream)
                elif len(mine) < size:
                    mine.append((found[0], label, found[1]))
        rows += mine
    order = np.random.default_rng(0).permutation(len(rows))
    x, y, names = zip(*(rows[index] for index in order), strict=True)
    return Excerpts(np.stack(x)[:, None], np.array(y, np.int64), np.array(names))


def picture(sound: Wave) -> NDArray[np.float16]:
    """The log-mel [32, 32] of a sound [SAMPLES] at 8 kHz."""
    steps = np.round(np.clip(log_mel(sound, MEL), LOW, HIGH) * LEVELS)
    return (steps / LEVELS).astype(np.float16)


def levelled(sound: Wave, rng: np.random.Generator) -> Wave:
    """A sound at one loudness, over a faint noise."""
    noisy = RMS * (sound / np.sqrt(np.mean(sound**2)) + NOISE * rng.standard_normal(len(sound)))
    return noisy / max(1.0, float(np.abs(noisy).max()))


def read(file: Path) -> Wave:
    """A recording at 8 kHz, mono, between 60 and 3700 Hz; at most a minute of it, nothing of what cannot be read."""
    soundfile = require("soundfile")
    try:
        rate = soundfile.info(str(file)).samplerate
        sound, _ = soundfile.read(str(file), frames=60 * rate, always_2d=True)
    except soundfile.LibsndfileError:  # some of LMMS's samples are headers that libsndfile does not know
        return np.zeros(0)
    if len(sound) < rate // 4:
        return np.zeros(0)
    common = np.gcd(rate, MEL.sample_rate)
    resampled = signal.resample_poly(sound.mean(axis=1), MEL.sample_rate // common, rate // common)
    filtered: Wave = signal.sosfiltfilt(_BAND, resampled)
    return filtered


def seconds_of(sound: Wave) -> Iterator[Wave]:
    """Parts of SAMPLES, half a length apart, in which there is enough to hear; the end is silent where it is short."""
    level = _levels(sound)
    if not level.size or level.max() < 1e-4:
        return
    heard = np.flatnonzero(level > 0.03 * level.max())
    begin, end = heard[0] * _STEP, min(len(sound), (heard[-1] + 1) * _STEP)
    if end - begin < 0.55 * SAMPLES:
        return
    for start in range(begin, max(begin + 1, end - int(0.8 * SAMPLES)), SAMPLES // 2):
        part = sound[start : min(start + SAMPLES, end)]
        mine = _levels(part)
        if (mine > 0.1 * level.max()).sum() * _STEP > HEARD * SAMPLES:
            yield np.pad(part, (0, SAMPLES - len(part)))


_STEP = 200


def _levels(sound: Wave) -> Wave:
    """Root mean squares of 25 ms each."""
    return np.sqrt(np.square(sound[: len(sound) // _STEP * _STEP]).reshape(-1, _STEP).mean(axis=1))


def _of_source(source: Source, split: str, root: Path) -> Iterator[tuple[NDArray[np.float16], str]]:
    for number, file in enumerate(recordings(source, split, root)):
        rng = np.random.default_rng([number, len(source.name)])
        for count, part in enumerate(seconds_of(read(file))):
            if count >= PER_FILE:
                break
            yield picture(levelled(part, rng)), f"{source.name}/{file.relative_to(root / 'usr/share' / source.folder)}"
