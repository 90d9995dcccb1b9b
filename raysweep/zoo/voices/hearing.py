"""How high log-mels of voices sound, once they are sounds again: `python -m raysweep.zoo.voices.hearing FILE…`.

A file is what `raysweep explain` or a sweep wrote of a generator, `.safetensors` with `explanation` [N, 1, 32, 32] of
the class that was not shown and `classes` [3, K, 1, 32, 32], a few of each.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from raysweep.data.audio import griffin_lim
from raysweep.zoo.voices.excerpts import MEL
from raysweep.zoo.voices.networks import CLASSES
from raysweep.zoo.voices.pitch import median_pitch


def heard_pitches(log_mels: NDArray[np.floating[Any]], iterations: int = 32) -> NDArray[np.float64]:
    """The median pitch in Hz of each log-mel [N, 32, 32], [N]; NaN where there is none to hear."""
    sounds = (griffin_lim(mel, MEL, iterations=iterations) for mel in log_mels)
    return np.array([median_pitch(sound, MEL.sample_rate) for sound in sounds])


def in_words(pitches: NDArray[np.float64]) -> str:
    """How many have a pitch, and its quartiles."""
    voiced = pitches[np.isfinite(pitches)]
    if not len(voiced):
        return f"0 of {len(pitches)} voiced"
    low, middle, high = np.percentile(voiced, (25, 50, 75))
    return f"{len(voiced)} of {len(pitches)} voiced, median {middle:.0f} Hz, quartiles {low:.0f} and {high:.0f}"


def main(*files: str) -> None:
    """Print of each file what is heard of the class that was not shown, and of a few of every class."""
    torch.set_num_threads(1)
    for file in files:
        tensors = load_file(file)
        print(f"{file}: {in_words(heard_pitches(tensors['explanation'][:, 0]))}")
        for name, few in zip(CLASSES, tensors["classes"], strict=True):
            print(f"  {name}: {in_words(heard_pitches(few[:, 0]))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
