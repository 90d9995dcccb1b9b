"""Pictures of radio maps: which buildings and measurements a mask keeps, and what a network makes of all and of those.

As figure 4 of Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*
(2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raysweep.zoo.radio.networks import CITY, MEASURED, SIGNAL, TRANSMITTER

CELL, FINER = 4, 2
"""Pixels of a cell, and how many times finer a panel is drawn before it is reduced to them."""
HEAD, GAP = 18, 6
PLANES = 9
LEAST = 0.005
"""A mask's value under which a component counts as removed: logits are kept from reaching 0."""
_PAPER, _INK = (255, 255, 255), (31, 35, 40)
_STREET, _BUILDING, _CELL = (250, 249, 246), (205, 208, 214), (150, 160, 176)
_KEPT = np.array([[250, 203, 140], [222, 88, 8]], np.float64)
"""Of a kept building, from the least important to the most."""
_RING, _AREA, _SENDER = (214, 84, 6), (0, 168, 132), (190, 20, 60)


def planes_of(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """What is drawn of a trial's tensors, [N, 9, H, W]: sample, what its mask keeps, both maps, and the area.

    The mask's planes are its city and its measured cells.
    """
    maps = [tensors[name].mean(axis=1, keepdims=True) for name in ("map", "obfuscation_map")]
    parts = [tensors["sample"], tensors["mask"][:, [CITY, MEASURED]], *maps, tensors["area"][:, None]]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def draw_radio_maps(planes: np.ndarray) -> np.ndarray:
    """Radio maps [N, 9, H, W] (see `planes_of`) as RGB pictures, uint8 [N, H', W', 3].

    Three panels each, in all of which the area is outlined and a cross is the transmitter: the city with its
    measurements, in orange what the mask keeps, the deeper the earlier or surer; what the network makes of all of it;
    what it makes of that alone. Colours of signals are of one scale for all.
    """
    low, high = float(planes[:, 6:8].min(initial=0.0)), float(planes[:, 6:8].max(initial=1e-6))

    def coloured(signal: np.ndarray) -> np.ndarray:
        return _palette()[(np.clip((signal - low) / (high - low), 0, 1) * 255).astype(np.uint8)]

    return np.stack([_picture(row[:4], row[4:6], coloured(row[[SIGNAL, 6, 7]]), row[8]) for row in planes])


def _picture(sample: np.ndarray, mask: np.ndarray, signals: np.ndarray, area: np.ndarray) -> np.ndarray:
    """One row; the coloured signals [3, H, W, 3] are the measured one and those of both maps."""
    kept = np.where(sample[[CITY, MEASURED]] == 1, mask, 0.0)
    kept[kept < LEAST] = 0.0
    depth = _depth(kept)
    titles = ("what the network is told; kept: orange", "what it makes of all", "what it makes of what is kept")
    grounds = (_city(sample[CITY], depth[0]), *signals[1:])
    height, width = (CELL * side for side in area.shape)
    picture = Image.new("RGB", (3 * width + 2 * GAP, HEAD + height), _PAPER)
    write = ImageDraw.Draw(picture)
    for place, (ground, title) in enumerate(zip(grounds, titles, strict=True)):
        left = place * (width + GAP)
        write.text((left + 1, 2), title, fill=_INK, font=_font())
        panel = Image.fromarray(ground.repeat(CELL * FINER, axis=0).repeat(CELL * FINER, axis=1))
        draw = ImageDraw.Draw(panel)
        if place == 0:
            _dots(draw, (sample[MEASURED] == 1) & (kept[1] == 0), 0.3)
            _dots(draw, kept[1] > 0, 1.0, signals[0])
        _outline(draw, area)
        _cross(draw, sample[TRANSMITTER], on=ground)
        picture.paste(panel.resize((width, height), Image.Resampling.LANCZOS), (left, HEAD))
    return np.asarray(picture)


def _depth(kept: np.ndarray) -> np.ndarray:
    """What is kept, from above 0 (the least) to 1 (the most); 0 elsewhere."""
    found = kept[kept > 0]
    if not found.size:
        return kept
    least, most = found.min(), found.max()
    return np.where(kept > 0, 0.05 + 0.95 * (kept - least) / (most - least) if most > least else 1.0, 0.0)


def _city(built: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The buildings [H, W, 3], in colour those that are kept."""
    plain = np.where((built == 1)[..., None], np.array(_BUILDING), np.array(_STREET))
    colour = _KEPT[0] + depth[..., None] * (_KEPT[1] - _KEPT[0])
    return np.where(depth[..., None] > 0, colour, plain).astype(np.uint8)


def _dots(draw: ImageDraw.ImageDraw, cells: np.ndarray, radius: float, signal: np.ndarray | None = None) -> None:
    """A disc of so many cells' radius on each cell that holds; with a signal [H, W, 3] in its colour, and ringed."""
    side = CELL * FINER
    for row, column in np.argwhere(cells):
        x, y, reach = side * (column + 0.5), side * (row + 0.5), side * radius
        ink = _CELL if signal is None else tuple(signal[row, column].tolist())
        ring = None if signal is None else _RING
        draw.ellipse([x - reach, y - reach, x + reach, y + reach], fill=ink, outline=ring, width=2 * FINER)


def _outline(draw: ImageDraw.ImageDraw, area: np.ndarray) -> None:
    """The rectangle that an area [H, W] is; none around the whole map."""
    side, places = CELL * FINER, np.argwhere(area > 0)
    if 0 < len(places) < area.size:
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0) + 1
        draw.rectangle([side * left, side * top, side * right - 1, side * bottom - 1], outline=_AREA, width=5)


def _cross(draw: ImageDraw.ImageDraw, transmitter: np.ndarray, on: np.ndarray) -> None:
    """The transmitter, dark on a light ground and light on a dark one."""
    side, light = CELL * FINER, float(on.mean()) < 128
    inks = (_INK, _PAPER) if light else (_PAPER, _SENDER)
    for row, column in np.argwhere(transmitter == 1):
        x, y, arm = side * (column + 0.5), side * (row + 0.5), 1.6 * side
        for ink, width in zip(inks, (10, 5), strict=True):
            draw.line([x - arm, y, x + arm, y], fill=ink, width=width)
            draw.line([x, y - arm, x, y + arm], fill=ink, width=width)


@cache
def _palette() -> np.ndarray:
    from matplotlib import colormaps

    return (colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)


@cache
def _font() -> Any:
    return ImageFont.load_default(12)
