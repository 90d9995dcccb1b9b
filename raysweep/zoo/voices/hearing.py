"""How high log-mels of voices sound, once they are sounds again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.audio import griffin_lim
from raysweep.zoo.voices.excerpts import MEL
from raysweep.zoo.voices.pitch import median_pitch


def heard_pitches(log_mels: NDArray[np.floating[Any]], iterations: int = 32) -> NDArray[np.float64]:
    """The median pitch in Hz of each log-mel [N, 32, 32], [N]; NaN where there is none to hear."""
    sounds = (griffin_lim(mel, MEL, iterations=iterations) for mel in log_mels)
    return np.array([median_pitch(sound, MEL.sample_rate) for sound in sounds])
