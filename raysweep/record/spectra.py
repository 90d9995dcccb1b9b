"""Pictures of spectra: magnitude and phase over a logarithmic frequency axis, coloured by what a mask keeps of them.

As figure 2 of Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*
(2020).
"""

from __future__ import annotations

import numpy as np

MAGNITUDE, PHASE, GAP = 72, 40, 3
"""Heights in pixels of the two panels, and between them."""
QUIETEST, LOUDEST = -40.0, 24.0
"""What the magnitude's panel shows, in dB of the mean power."""
GROUND, REMOVED, KEPT = (np.array(colour, np.float64) for colour in ((18, 22, 34), (74, 86, 116), (255, 200, 64)))


def draw_spectra(x: np.ndarray) -> np.ndarray:
    """Spectra as RGB pictures, uint8 [N, H, F, 3].

    Args:
        x: [N, 2, F], magnitude and phase in [-π, π]; or [N, 4, F] with the importance of both in [0, 1] below.
    """
    magnitude, phase = x[:, 0], x[:, 1]
    weight = np.clip(x[:, 2:4], 0, 1) if x.shape[1] == 4 else np.ones_like(x[:, :2])
    decibel = 20 * np.log10(np.maximum(magnitude, 1e-6))
    level = np.clip((decibel - QUIETEST) / (LOUDEST - QUIETEST), 0, 1) * MAGNITUDE
    from_below = np.arange(MAGNITUDE)[::-1, None] + 0.5
    bars = from_below < level[:, None]
    height = (np.pi - np.clip(phase, -np.pi, np.pi)) / (2 * np.pi) * (PHASE - 2)
    dots = np.abs(np.arange(PHASE)[:, None] - 0.5 - height[:, None]) <= 1
    between = np.full((len(x), GAP, x.shape[2], 3), 255.0)
    return np.concatenate([_panel(bars, weight[:, 0]), between, _panel(dots, weight[:, 1])], axis=1).astype(np.uint8)


def _panel(ink: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What is drawn [N, H, F] in the colour of its importance [N, F]."""
    colour = REMOVED + weight[:, None, :, None] * (KEPT - REMOVED)
    return np.where(ink[..., None], colour, GROUND)
