"""What a person looks at: an explanation itself, or a mask over the sample that it explains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raysweep.record.radio_maps import planes_of

REMOVED = np.array([0.22, 0.36, 0.66], dtype=np.float32)
"""The colour of what a mask removes."""
SEEN_THROUGH = 0.3
"""How much of the sample shows through it."""
UNSEEN = np.array([0.93, 0.45, 0.05], dtype=np.float32)
"""The colour of the frame around a class that was never shown."""
FOR, AGAINST = np.array([0.78, 0.07, 0.16], dtype=np.float32), np.array([0.10, 0.27, 0.68], dtype=np.float32)
"""The colours of what speaks for a score and of what speaks against it; what does neither is white."""
TRUE_BOX, FOUND_BOX = np.array([0.10, 0.65, 0.25], dtype=np.float32), np.array([0.93, 0.45, 0.05], dtype=np.float32)
"""The colours of the box that the data say, and of the one around what a map finds hot."""
STRIPS = ("image", "logmel")
"""Media whose pictures can be put side by side."""


def looked_at(tensors: Mapping[str, np.ndarray], media: str) -> np.ndarray:
    """What is drawn of a trial's tensors, [N, ...] in the layout of `media`.

    Of masks over images the images [N, 3, H, W], in colour where the mask removes, with their boxes; over spectra
    [N, 4, F], the spectrum above its mask; over radio maps that a network continues [N, 9, H, W], see `planes_of`; of
    other masks the masks. Of heat maps of images these beside the images, in colour [N, 3, H, 2 W], both with boxes; of
    spectra heat that speaks for the score, as a mask is; of other heat maps the heat. Of generators of classes a strip
    of samples for each, [C, ..., H, K W].
    """
    if "classes" in tensors and media in STRIPS:
        return of_classes(tensors["classes"], tensors["unseen"], framed=media == "image")
    if "heat" in tensors:
        return _of_heat(tensors, media)
    if "mask" not in tensors:
        return tensors["explanation"]
    if media == "radio" and "area" in tensors:
        return planes_of(tensors)
    mask = np.clip(tensors["mask"], 0, 1)
    if media == "spectrum":
        return np.concatenate([tensors["sample"], mask], axis=1)
    return boxed(over_images(tensors["sample"], mask), tensors) if media == "image" else mask


def glimpsed(tensors: Mapping[str, np.ndarray], media: str) -> np.ndarray:
    """What stands for all of it where there is room for a few pictures."""
    return tensors["explanation"] if "classes" in tensors else looked_at(tensors, media)


def of_classes(classes: np.ndarray, unseen: np.ndarray, framed: bool) -> np.ndarray:
    """Samples [C, K, channels, H, W] side by side, [C, channels, H, K W].

    Args:
        unseen: bool [C], classes that the generator was never shown.
        framed: whether to make images in colour of them and to mark those, [C, 3, H + 2, K W + 2].
    """
    count, samples, channels, height, width = classes.shape
    strips = classes.transpose(0, 2, 3, 1, 4).reshape(count, channels, height, samples * width)
    if not framed:
        return strips
    found = np.ones((count, 3, height + 2, samples * width + 2), dtype=np.float32)
    found[unseen] = UNSEEN[:, None, None]
    found[:, :, 1:-1, 1:-1] = strips
    return found


def signed_colours(heat: np.ndarray) -> np.ndarray:
    """Heat maps [N, C, H, W], summed over channels, in colour [N, 3, H, W]: each in units of its own largest heat."""
    total = heat.sum(axis=1, keepdims=True)
    share = total / np.maximum(np.abs(total).max(axis=(1, 2, 3), keepdims=True), np.finfo(np.float32).tiny)
    colour = np.where(share > 0, FOR[:, None, None], AGAINST[:, None, None])
    return np.asarray(1 - np.abs(share) * (1 - colour), dtype=np.float32)


def boxed(images: np.ndarray, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images [N, 3, H, W] with the outlines of the boxes [N, 4] that the tensors have of them, the true one on top."""
    found = np.array(images, dtype=np.float32)
    for name, colour in (("found_box", FOUND_BOX), ("box", TRUE_BOX)):
        for image, (left, top, right, bottom) in zip(found, tensors.get(name, ()), strict=False):
            if left < right and top < bottom:
                image[:, [top, bottom - 1], left:right] = colour[:, None, None]
                image[:, top:bottom, [left, right - 1]] = colour[:, None, None]
    return found


def _of_heat(tensors: Mapping[str, np.ndarray], media: str) -> np.ndarray:
    sample, heat = tensors["sample"], tensors["heat"]
    if media == "image":
        colour = np.broadcast_to(sample, (len(sample), 3, *sample.shape[2:]))
        return np.concatenate([boxed(colour, tensors), boxed(signed_colours(heat), tensors)], axis=3)
    if media == "spectrum":
        speaks = np.maximum(heat, 0)
        return np.concatenate([sample, speaks / np.maximum(speaks.max(axis=(1, 2), keepdims=True), 1e-12)], axis=1)
    return heat


def over_images(sample: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Images [N, C, H, W] in [0, 1] with what masks of the same shape remove in colour: [N, 3, H, W]."""
    colour = np.broadcast_to(sample, (len(sample), 3, *sample.shape[2:]))
    keep = mask.mean(axis=1, keepdims=True)
    removed = SEEN_THROUGH * sample.mean(axis=1, keepdims=True) + (1 - SEEN_THROUGH) * REMOVED[:, None, None]
    return keep * colour + (1 - keep) * removed
