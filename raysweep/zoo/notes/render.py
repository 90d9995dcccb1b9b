"""Makes the notes: single tones of sampled instruments, one second at 16 kHz, as spectra [2, 256].

Every family plays the same keys at the same velocities, so that pitch and loudness say next to nothing about it. Within
a split note i is of family i mod 10, and note i depends on (split, i) only; no two notes of the splits that share
SoundFonts have the same SoundFont, program, key and velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raysweep.data.spectrum import NOTE, spectrum
from raysweep.errors import InputError
from raysweep.zoo.notes.networks import CLASSES
from raysweep.zoo.soundfonts import require, soundfont

# General MIDI programs, from 0.
PROGRAMS: dict[str, tuple[int, ...]] = {
    "keyboard": tuple(range(0, 8)),
    "mallet": tuple(range(8, 16)),
    "organ": tuple(range(16, 24)),
    "guitar": tuple(range(24, 32)),
    "bass": tuple(range(32, 40)),
    "string": tuple(range(40, 48)),
    "vocal": (52, 53, 54),
    "brass": tuple(range(56, 64)),
    "reed": tuple(range(64, 72)),
    "flute": tuple(range(72, 80)),
}
KEYS = range(36, 85)  # 65 to 1047 Hz
VELOCITIES = range(40, 128)
SILENT = 1e-3  # a peak below it
FADE = 0.02  # seconds at the end of a note, so that it does not end in a click
# MuseScore General is made from FluidR3, so the two are one family of recordings; TimGM6mb is another.
KNOWN = ("sf3/FluidR3Mono_GM.sf3", "sf3/MuseScore_General_Lite.sf3")
UNKNOWN = ("sf2/TimGM6mb.sf2",)


@dataclass(frozen=True)
class Note:
    """`held` seconds of a key, `cents` off its pitch."""

    soundfont: str
    program: int
    key: int
    velocity: int
    held: float
    cents: float


@dataclass(frozen=True)
class Split:
    """Notes `first` to `last` of each family, out of all that its SoundFonts can play in an order drawn by `seed`."""

    soundfonts: tuple[str, ...]
    seed: int
    first: int
    last: int

    def __len__(self) -> int:
        return (self.last - self.first) * len(CLASSES)


SPLITS = {
    "train": Split(KNOWN, 1, 0, 2000),
    "judge": Split(KNOWN, 1, 2000, 3200),
    "validation": Split(KNOWN, 1, 3200, 3300),
    "test": Split(KNOWN, 1, 3300, 3700),
    "soundfont": Split(UNKNOWN, 2, 0, 200),
}


def labels(split: Split) -> NDArray[np.int64]:
    """The class of each note of a split, [N]."""
    return np.arange(len(split)) % len(CLASSES)


def notes(split: Split) -> list[Note]:
    """What is played in a split."""
    families = [_notes_of(split, family) for family in range(len(CLASSES))]
    return [note for together in zip(*families, strict=True) for note in together]


def _notes_of(split: Split, family: int) -> list[Note]:
    every = list(product(split.soundfonts, PROGRAMS[CLASSES[family]], KEYS, VELOCITIES))
    random = np.random.default_rng([split.seed, family])
    chosen = random.permutation(len(every))
    held, cents = random.uniform(0.5, 0.9, len(every)), random.uniform(-25, 25, len(every))
    found = []
    for slot in range(split.first, split.last):
        soundfont, program, key, velocity = every[chosen[slot]]
        found.append(Note(soundfont, program, key, velocity, float(held[slot]), float(cents[slot])))
    return found


def spectra(split: Split, folder: Path) -> NDArray[np.float16]:
    """All of a split, [N, 2, 256]; kept in `folder`, where it is read from if it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{split.seed}-{split.first}-{split.last}.npy"
    if not file.exists():
        parts = [spectrum(play(note)) for note in notes(split)]
        unfinished = file.with_suffix(".part")
        with unfinished.open("wb") as out:
            np.save(out, np.stack(parts).astype(np.float16))
        unfinished.rename(file)
    found: NDArray[np.float16] = np.load(file)
    return found


def play(note: Note) -> NDArray[np.float32]:
    """One second of a note, [16000], its loudest sample at 0.9.

    A key for which its instrument has no sample at that velocity (fewer than 1 in 100) sounds an octave lower.
    """
    sound = _band(note.soundfont).play(note)
    if not np.abs(sound).max() > SILENT:
        sound = _band(note.soundfont).play(replace(note, key=note.key - 12))
    peak = float(np.abs(sound).max())
    if not peak > SILENT:
        raise InputError("a note stayed silent", value=note, suggestion="Is the SoundFont's package whole?")
    ramp = np.ones(NOTE.samples)
    tail = int(FADE * NOTE.sample_rate)
    ramp[-tail:] = np.linspace(1, 0, tail)
    return (0.9 / peak * sound * ramp).astype(np.float32)


class _Band:
    """One SoundFont, of which one note sounds at a time."""

    def __init__(self, name: str) -> None:
        self.synth = require("tinysoundfont").Synth(samplerate=NOTE.sample_rate)
        self.font = self.synth.sfload(str(soundfont(name)))

    def play(self, note: Note) -> NDArray[np.float64]:
        held = int(note.held * NOTE.sample_rate)
        self.synth.program_select(0, self.font, 0, note.program, False)
        self.synth.pitchbend(0, 8192 + round(note.cents / 200 * 8192))  # the wheel's range is two semitones
        self.synth.noteon(0, note.key, note.velocity)
        begun = self._advance(held)
        self.synth.noteoff(0, note.key)
        sound = np.concatenate([begun, self._advance(NOTE.samples - held)])
        self.synth.sounds_off(0)
        self._advance(4096)
        return sound

    def _advance(self, samples: int) -> NDArray[np.float64]:
        stereo = np.frombuffer(self.synth.generate_simple(samples), np.float32).reshape(-1, 2)
        return stereo.mean(axis=1, dtype=float)


@lru_cache(maxsize=3)
def _band(name: str) -> _Band:
    return _Band(name)
