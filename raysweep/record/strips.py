"""Rows of pictures under each other, words before each: what settings make of the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from raysweep.record.sheets import GAP, INK, LINE, PAPER, enlarge, font

CELL = 84


@dataclass(frozen=True)
class Strip:
    """Pictures of one setting.

    Args:
        lines: what is said of it; the first is its name.
        cells: uint8 [K, H, W, 3].
    """

    lines: Sequence[str]
    cells: np.ndarray


def draw_strips(strips: Sequence[Strip], cell: int = CELL) -> Image.Image:
    """All of them, words on the left."""
    words = max(int(font(_size(place)).getlength(line)) for one in strips for place, line in enumerate(one.lines))
    left = words + 4 * GAP
    drawn = [(one.lines, enlarge(one.cells, cell)) for one in strips]
    heights = [max(cells.shape[1], LINE * len(lines)) for lines, cells in drawn]
    width = left + max(len(cells) * (cells.shape[2] + GAP) for _, cells in drawn)
    sheet = Image.new("RGB", (width, GAP + sum(height + GAP for height in heights)), PAPER)
    draw, top = ImageDraw.Draw(sheet), GAP
    for (lines, cells), height in zip(drawn, heights, strict=True):
        for place, line in enumerate(lines):
            draw.text((GAP, top + LINE * place), line, fill=INK, font=font(_size(place)))
        for place, picture in enumerate(cells):
            sheet.paste(Image.fromarray(picture), (left + place * (cells.shape[2] + GAP), top))
        top += height + GAP
    return sheet


def _size(place: int) -> int:
    return 12 if place else 14
