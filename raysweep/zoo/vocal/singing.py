"""Sung notes: recorded speech, slowed and re-pitched to a melody by WORLD (Morise, Yokomori and Ozawa, 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from raysweep.zoo.soundfonts import require
from raysweep.zoo.vocal.score import RATE, SAMPLES, Rng, Wave, contour, melody
from raysweep.zoo.vocal.sources import read, recordings

FRAME_RATE = 200  # WORLD's frames a second
_TELEPHONE = signal.butter(6, 3700, fs=RATE, output="sos")


def sing(speakers: tuple[str, ...], warp: float, rng: Rng, root: int, scale: tuple[int, ...]) -> Wave:
    """About a second of one of the speakers, sung to a random melody of the scale: [SAMPLES], zeros if it is no speech.

    `warp` moves the formants by up to that factor, up or down: new voices from few speakers.
    """
    world = require("pyworld")
    slowness, speech = _phrase(speakers, rng)
    pitch, times = world.dio(speech, RATE, f0_floor=60.0, f0_ceil=450.0, allowed_range=0.2)
    heard = pitch > 0
    if not heard.mean() > 0.25:
        return np.zeros(SAMPLES)
    spoken = np.interp(times, times[heard], pitch[heard])
    spectrum, noise = world.cheaptrick(speech, spoken, times, RATE), world.d4c(speech, spoken, times, RATE)

    frames = SAMPLES // (RATE // FRAME_RATE)
    at = np.linspace(0, min(len(times) - 1, frames / slowness), frames)
    spectrum = np.exp(_gather(np.log(spectrum), at))
    stretch = (1 + warp) ** rng.uniform(-1, 1)
    bins = np.minimum(np.arange(spectrum.shape[1]) / stretch, spectrum.shape[1] - 1).astype(int)
    middle = 69 + 12 * np.log2(np.median(pitch[heard]) / 440) + rng.uniform(0, 8)
    tune = contour(melody(rng, root, scale, middle), np.arange(frames) / FRAME_RATE, rng)
    sung = np.where(_voiced(heard)[at.astype(int)], 440 * 2 ** ((tune - 69) / 12), 0.0)
    aperiodic = np.clip(_gather(noise, at), 0, 1)
    voice = band_limit(world.synthesize(sung, np.ascontiguousarray(spectrum[:, bins]), aperiodic, RATE))
    return np.pad(voice[:SAMPLES], (0, max(0, SAMPLES - len(voice))))


def band_limit(sound: Wave) -> Wave:
    """Without what lies above the recordings' 4 kHz."""
    limited: Wave = signal.sosfiltfilt(_TELEPHONE, sound)
    return limited


def _phrase(speakers: tuple[str, ...], rng: Rng) -> tuple[float, Wave]:
    """How much slower it will be sung, and so much of a random recording as that takes."""
    clips = recordings(speakers[rng.integers(len(speakers))])
    speech = read(clips[rng.integers(len(clips))])
    slowness = rng.uniform(1.2, 2.6)
    length = int(SAMPLES / slowness) + RATE // 10
    begin = int(rng.integers(max(1, len(speech) - length)))
    return slowness, speech[begin : begin + length]


def _voiced(heard: NDArray[Any]) -> NDArray[Any]:
    """Frames with a pitch and their near neighbours: singing carries the pitch through where the tracker lost it."""
    widened = signal.convolve(heard.astype(float), np.ones(13), "same").clip(0, 1)
    voiced: NDArray[Any] = signal.medfilt(widened, 5) > 0
    return voiced


def _gather(frames: Wave, at: Wave) -> Wave:
    """Rows of `frames` at fractional positions, linearly between neighbours."""
    left = np.floor(at).astype(int)
    right = np.minimum(left + 1, len(frames) - 1)
    weight = (at - left)[:, None]
    between: Wave = (1 - weight) * frames[left] + weight * frames[right]
    return between
