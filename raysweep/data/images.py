"""Image files and bytes as arrays, and many of them as one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from raysweep.errors import InputError

_GREY = ("1", "L", "LA")
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def decode(image: Path | IO[bytes], *, name: str, key: str) -> np.ndarray:
    """uint8 [1, H, W] of a grey image, [3, H, W] of any other; transparency is dropped.

    Raises:
        InputError: not an image, truncated, or deeper than 8 bits.
    """
    try:
        with Image.open(image) as opened:
            if opened.mode in _DEEP:
                hint = "Save it as .npy with floats in [0, 1]"
                raise InputError("images must have 8 bits a channel", key=key, value=name, suggestion=hint)
            pixels = np.array(opened.convert("L" if opened.mode in _GREY else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("must be a whole image", key=key, value=name, suggestion=str(error)) from error
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def stack(named: Iterable[tuple[str, np.ndarray]], *, key: str) -> np.ndarray:
    """[N, C, H, W] of images [C, H, W] of one size; grey ones among coloured ones are repeated to 3 channels.

    Raises:
        InputError: two sizes; both, and the first file of the second size, are in the message.
    """
    images: list[np.ndarray] = []
    for name, image in named:
        if images and image.shape[1:] != images[0].shape[1:]:
            first, other = (" x ".join(map(str, size)) for size in (images[0].shape[1:], image.shape[1:]))
            rule = f"all images must have one size, and the first is {first}"
            raise InputError(rule, key=key, value=f"{name}: {other}", suggestion="Resize or crop them first")
        images.append(image)
    channels = max(len(image) for image in images)
    return np.stack([image if len(image) == channels else np.repeat(image, channels, axis=0) for image in images])
