"""The recordings that only the recipe needs, and how to install those that are missing."""

from __future__ import annotations

import wave as wave_file
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import signal

from raysweep.errors import InputError
from raysweep.zoo.vocal.score import RATE, Wave

SPEECH = Path("/usr/share/asterisk/sounds")
NOT_SPEECH = ("beep", "tone", "silence", "monkeys")


@lru_cache(maxsize=8)
def recordings(speaker: str) -> tuple[Path, ...]:
    """Every recording of a speaker that is longer than a second and is speech."""
    files = sorted((SPEECH / speaker).rglob("*.wav"))
    spoken = tuple(f for f in files if f.stat().st_size > 16_000 and not any(word in f.name for word in NOT_SPEECH))
    if not spoken:
        packages = " ".join(f"asterisk-core-sounds-{language}-wav" for language in ("en", "es", "fr", "it", "ru"))
        hint = f"On Debian run: apt install {packages}"
        raise InputError("this speaker's recordings are missing", value=speaker, suggestion=hint)
    return spoken


@lru_cache(maxsize=4096)
def read(file: Path) -> Wave:
    """A recording, whatever its rate, as [n] at 22 050 Hz."""
    with wave_file.open(str(file)) as clip:
        sound = np.frombuffer(clip.readframes(clip.getnframes()), "<i2") / 32768
        return np.asarray(signal.resample_poly(sound, RATE // 50, clip.getframerate() // 50), float)
