"""Instruments: a SoundFont played offline, random accompaniments, and a lead instrument in the place of a voice."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.zoo.soundfonts import require, soundfont
from raysweep.zoo.vocal.score import RATE, SAMPLES, Note, Rng, Wave, contour, melody, sounding
from raysweep.zoo.vocal.singing import band_limit

# General MIDI programs from 0, by role; the voices (52-54, 85, 91) are in none, nor are sound effects.
ROLES: dict[str, tuple[int, ...]] = {
    "chords": (*range(0, 8), *range(16, 32)),
    "pad": (*range(16, 24), *range(40, 45), *range(48, 52), 88, 89, 90, 92, 93, 94, 95),
    "arpeggio": (*range(0, 52), *range(55, 85), 86, 87, 104, 105, 106, 107, 108),
    "bass": tuple(range(32, 40)),
    "drums": (-1,),
}
LEADS = (*range(40, 43), *range(56, 80), 80, 81, 82, 83, 84, 86, 87, 109, 110, 111, 22, 26, 27, 29, 30)
DRUMS = [36, 36, 38, 40, 42, 42, 44, 46, 49, 51, 54, 70]
PREROLL = 0.5  # seconds played but not heard, so that an excerpt begins inside the music

Part = tuple[int, list[tuple[Note, int]]]  # program (-1: drum kit), [(note, velocity)]


class Orchestra:
    """One SoundFont."""

    def __init__(self, name: str) -> None:
        self.synth = require("tinysoundfont").Synth(samplerate=RATE)
        self.font = self.synth.sfload(str(soundfont(name)))

    def play(self, parts: list[Part], bends: tuple[NDArray[Any], Wave] | None = None) -> Wave:
        """At most 8 parts, mono: [SAMPLES]. `bends` are (sample, semitones) of the first part."""
        events: list[tuple[int, int, partial[object]]] = []
        for channel, (program, notes) in enumerate(parts):
            channel = 9 if program < 0 else channel
            self.synth.program_select(channel, self.font, 0, max(program, 0), program < 0)
            self.synth.pitchbend(channel, 8192)
            for note, velocity in notes:
                key = int(note.key)
                events.append((int(note.start * RATE), 1, partial(self.synth.noteon, channel, key, velocity)))
                events.append((int(note.end * RATE), 0, partial(self.synth.noteoff, channel, key)))
        if bends is not None:
            for sample, bend in zip(bends[0], (8192 + bends[1] * 4096).clip(0, 16383).astype(int), strict=True):
                events.append((int(sample), 2, partial(self.synth.pitchbend, 0, int(bend))))
        return self._sound(sorted(events, key=lambda event: event[:2]))

    def _sound(self, events: list[tuple[int, int, partial[object]]]) -> Wave:
        sound, now = [], 0
        for sample, _, act in events:
            if sample > now:
                sound.append(self._advance(sample - now))
                now = sample
            act()
        sound.append(self._advance(SAMPLES + RATE))
        for channel in range(16):
            self.synth.sounds_off(channel)
        self._advance(4096)
        begin = int(PREROLL * RATE)
        return np.concatenate(sound)[begin : begin + SAMPLES]

    def _advance(self, samples: int) -> Wave:
        stereo = np.frombuffer(self.synth.generate_simple(samples), np.float32).reshape(-1, 2)
        return stereo.mean(axis=1, dtype=float)


@lru_cache(maxsize=2)
def orchestra(name: str) -> Orchestra:
    """The SoundFont `name`, loaded once."""
    return Orchestra(name)


def backing(rng: Rng, root: int, scale: tuple[int, ...]) -> list[Part]:
    """One to four accompanying parts that change chord every other beat."""
    beat = 60 / rng.uniform(65, 150)
    beats = np.arange(rng.uniform(-1, 0) * beat, 2.8, beat)
    degrees = rng.integers(len(scale), size=len(beats) // 2 + 1).repeat(2)[: len(beats)]
    parts = []
    for role in rng.choice(list(ROLES), size=rng.integers(1, 5), replace=False):
        velocity, octave = int(rng.integers(55, 115)), 12 * int(rng.integers(4, 6))
        notes: list[tuple[Note, int]] = []
        for start, degree in zip(beats.clip(0), degrees, strict=True):
            keys = _keys(str(role), octave + root, scale, int(degree), rng)
            if role in ("arpeggio", "drums"):
                step = beat / len(keys)
                notes += [(Note(key, start + k * step, start + (k + 1) * step), velocity) for k, key in enumerate(keys)]
            elif role != "pad" or start == 0 or rng.random() < 0.5:
                held = beat * (2 if role == "pad" else rng.choice([0.5, 1.0]))
                notes += [(Note(key, start, start + held), velocity) for key in keys]
        parts.append((int(rng.choice(ROLES[str(role)])), notes))
    return parts


def _keys(role: str, tonic: int, scale: tuple[int, ...], degree: int, rng: Rng) -> list[int]:
    """What a part plays on one beat: a triad, a low root, or two drums."""
    if role == "bass":
        return [28 + (tonic + scale[degree] - 4) % 12 + 12 * int(rng.random() < 0.2)]
    if role == "drums":
        return [int(rng.choice(DRUMS)) for _ in range(2)]
    return [tonic + scale[(degree + k) % len(scale)] + 12 * ((degree + k) // len(scale)) for k in (0, 2, 4)]


def lead_instrument(band: Orchestra, rng: Rng, root: int, scale: tuple[int, ...]) -> Wave:
    """A melody on an instrument, in place of the voice: the same tunes, vibrato and band."""
    tune = melody(rng, root, scale, rng.uniform(52, 76))
    notes = [
        (Note(n.key, n.start + PREROLL * (n.start > 0), n.end + PREROLL), int(rng.integers(60, 120))) for n in tune
    ]
    times = np.arange(0, SAMPLES / RATE, 0.02)
    wobble = contour(tune, times, rng) - np.array([sounding(tune, t).key for t in times])
    bends = ((times + PREROLL) * RATE).astype(int), wobble.clip(-2, 2)
    return band_limit(band.play([(int(rng.choice(LEADS)), notes)], bends))
