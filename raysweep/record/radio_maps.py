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
_PAPER, _INK, _FAINT = (255, 255, 255), (31, 35, 40), (110, 116, 124)
_STREET, _BUILDING, _CELL = (250, 249, 246), (205, 208, 214), (150, 160, 176)
_KEPT = np.array([[252, 214, 158], [226, 98, 14]], np.float64)
"""A kept building's colour, from the last that was chosen to the first."""
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
    measurements, in orange what the mask keeps; what the network makes of all of it; what it makes of that alone.
    """
    low, high = float(planes[:, 6:8].min(initial=0.0)), float(planes[:, 6:8].max(initial=1e-6))
    return np.stack([_picture(row, low, high) for row in planes])


def _picture(row: np.ndarray, low: float, high: float) -> np.ndarray:
    sample, (city, measured), maps, area = row[:4], row[4:6], row[6:8], row[8]
    coloured = [_palette()[(np.clip((one - low) / (high - low), 0, 1) * 255).astype(np.uint8)] for one in maps]
    signal = _palette()[(np.clip((sample[SIGNAL] - low) / (high - low), 0, 1) * 255).astype(np.uint8)]
    kept = (sample[MEASURED] == 1) & (measured > 0)
    buildings = (sample[CITY] == 1) & (city > 0)
    panels = [
        (_city(sample, np.where(buildings, city, 0.0)), f"kept, in orange: {_counted(city[buildings], kept)}"),
        (coloured[0], "the network, told all"),
        (coloured[1], "the network, told what is kept"),
    ]
    height, width = (CELL * side for side in area.shape)
    picture = Image.new("RGB", (3 * width + 2 * GAP, HEAD + height), _PAPER)
    write = ImageDraw.Draw(picture)
    for place, (ground, title) in enumerate(panels):
        left = place * (width + GAP)
        write.text((left + 1, 2), title, fill=_FAINT if place else _INK, font=_font())
        panel = _enlarged(ground)
        draw = ImageDraw.Draw(panel)
        if place == 0:
            _dots(draw, sample[MEASURED] == 1, 0.28, lambda row, column: {"fill": _CELL})
            _dots(draw, kept, 0.95, lambda r, c: {"fill": tuple(signal[r, c].tolist()), "outline": _RING, "width": 4})
        _outline(draw, area)
        _cross(draw, sample[TRANSMITTER], (255, 255, 255) if place else _SENDER)
        picture.paste(panel.resize((width, height), Image.Resampling.LANCZOS), (left, HEAD))
    return np.asarray(picture)


def _city(sample: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """The buildings [H, W, 3], in colour those that are kept."""
    colour = _KEPT[0] + importance[..., None] * (_KEPT[1] - _KEPT[0])
    plain = np.where((sample[CITY] == 1)[..., None], np.array(_BUILDING), np.array(_STREET))
    return np.where(importance[..., None] > 0, colour, plain).astype(np.uint8)


def _counted(buildings: np.ndarray, measurements: np.ndarray) -> str:
    """Kept buildings of different importance, and kept cells, in words."""
    counts = {"building": len(np.unique(buildings)), "measurement": int(measurements.sum())}
    return ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())


def _enlarged(ground: np.ndarray) -> Image.Image:
    factor = CELL * FINER
    return Image.fromarray(ground.astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1))


def _dots(draw: ImageDraw.ImageDraw, cells: np.ndarray, radius: float, style: Any) -> None:
    """A disc of so many cells' radius in the middle of each cell that holds."""
    side = CELL * FINER
    for row, column in np.argwhere(cells):
        middle, reach = (side * (column + 0.5), side * (row + 0.5)), side * radius
        corners = [middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach]
        draw.ellipse(corners, **style(row, column))


def _outline(draw: ImageDraw.ImageDraw, area: np.ndarray) -> None:
    """The rectangle that an area [H, W] is; none around the whole map."""
    side, places = CELL * FINER, np.argwhere(area > 0)
    if 0 < len(places) < area.size:
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0) + 1
        draw.rectangle([side * left, side * top, side * right - 1, side * bottom - 1], outline=_AREA, width=5)


def _cross(draw: ImageDraw.ImageDraw, transmitter: np.ndarray, colour: tuple[int, int, int]) -> None:
    side = CELL * FINER
    for row, column in np.argwhere(transmitter == 1):
        x, y, arm = side * (column + 0.5), side * (row + 0.5), 1.6 * side
        for ink, width in (((31, 35, 40) if colour[0] == 255 else (255, 255, 255), 10), (colour, 5)):
            draw.line([x - arm, y, x + arm, y], fill=ink, width=width)
            draw.line([x, y - arm, x, y + arm], fill=ink, width=width)


@cache
def _palette() -> np.ndarray:
    from matplotlib import colormaps

    return (colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)


@cache
def _font() -> Any:
    return ImageFont.load_default(12)
