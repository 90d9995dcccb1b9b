"""What a person looks at: an explanation itself, or a mask over the sample that it explains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raysweep.record.radio_maps import planes_of

REMOVED = np.array([0.22, 0.36, 0.66], dtype=np.float32)
"""The colour of what a mask removes."""
SEEN_THROUGH = 0.3
"""How much of the sample shows through it."""


def looked_at(tensors: Mapping[str, np.ndarray], media: str) -> np.ndarray:
    """What is drawn of a trial's tensors, [N, ...] in the layout of `media`.

    Of masks over images the images [N, 3, H, W], in colour where the mask removes; over spectra [N, 4, F], the spectrum
    above its mask; over radio maps that a network continues [N, 9, H, W], see `planes_of`; of other masks the masks.
    """
    if "mask" not in tensors:
        return tensors["explanation"]
    if media == "radio" and "area" in tensors:
        return planes_of(tensors)
    mask = np.clip(tensors["mask"], 0, 1)
    if media == "spectrum":
        return np.concatenate([tensors["sample"], mask], axis=1)
    return over_images(tensors["sample"], mask) if media == "image" else mask


def over_images(sample: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Images [N, C, H, W] in [0, 1] with what masks of the same shape remove in colour: [N, 3, H, W]."""
    colour = np.broadcast_to(sample, (len(sample), 3, *sample.shape[2:]))
    keep = mask.mean(axis=1, keepdims=True)
    removed = SEEN_THROUGH * sample.mean(axis=1, keepdims=True) + (1 - SEEN_THROUGH) * REMOVED[:, None, None]
    return keep * colour + (1 - keep) * removed
