"""Pictures and sounds of explanations: what a person looks at (or listens to) to judge a configuration.

Sheets are drawn with NumPy and Pillow, because a sweep draws one for every trial: 50 images take about 20 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raysweep.errors import RaysweepError
from raysweep.record.radio_maps import PLANES, draw_radio_maps
from raysweep.record.spectra import draw_spectra
from raysweep.whole_files import whole

if TYPE_CHECKING:
    from raysweep.data.audio import MelSpec

CELL = 84
"""A picture narrower than this many pixels is enlarged, by a whole factor, to about this size."""
GAP = 4
TITLE, LINE = 440, 18
"""A title wraps at the grid's width, or at so many pixels where that is narrower, into lines of this height."""
INK, PAPER = (31, 35, 40), (255, 255, 255)
"""The colours of words and of what is behind them."""


def contact_sheet(
    explanations: np.ndarray,
    media: str,
    path: Path,
    title: str | None = None,
    captions: Sequence[str] | None = None,
    limit: int = 64,
) -> Path:
    """Draw the first `limit` explanations as one PNG grid.

    Args:
        explanations: [N, ...]. "image": [N, C, H, W] or [N, H, W] in [0, 1]. "logmel": [N, (1,) bands, frames].
            "spectrum": [N, 2 or 4, F], see `draw_spectra`. "radio": [N, 9, H, W], see
            `draw_radio_maps`. "array": any shape; vectors become line plots, matrices heat maps.
        media: one of `data.dataset.MEDIA`.
        path: where the PNG goes; its folder must exist.
        title: above the grid, in as many lines as it takes.
        captions: one short text under each picture.
        limit: the most pictures drawn.
    """
    sheet = draw_sheet(explanations, media, title=title, captions=captions, limit=limit)
    with whole(path) as partial:
        sheet.save(partial, format="PNG", compress_level=4)
    return path


def draw_sheet(
    explanations: np.ndarray,
    media: str,
    *,
    title: str | None = None,
    captions: Sequence[str] | None = None,
    limit: int = 64,
    columns: int | None = None,
    cell: int = CELL,
    paper: tuple[int, ...] = PAPER,
) -> Image.Image:
    """The grid as a picture in memory (`paper` with four values keeps the gaps transparent)."""
    cells = pictures(explanations[:limit], media)
    cells = enlarge(cells, cell)
    count, height, width, _ = cells.shape
    columns = columns or _columns(count, width, height)
    rows = math.ceil(count / columns) if count else 1
    foot = 14 if captions else 0
    across = columns * (width + GAP) + GAP
    lines = _wrapped(title or "", max(across, TITLE) - 2 * GAP)
    head = 8 + LINE * len(lines) if lines else 0
    across = max(across, *(math.ceil(font(14).getlength(line)) + 2 * GAP for line in lines), 0)
    size = (across, head + rows * (height + foot + GAP) + GAP)
    canvas = np.empty((size[1], size[0], len(paper)), dtype=np.uint8)
    canvas[:] = paper
    corners = []
    for index in range(count):
        left = GAP + (index % columns) * (width + GAP)
        top = head + GAP + (index // columns) * (height + foot + GAP)
        canvas[top : top + height, left : left + width, :3] = cells[index]
        canvas[top : top + height, left : left + width, 3:] = 255
        corners.append((left, top + height))
    sheet = Image.fromarray(canvas)
    if title or captions:
        draw = ImageDraw.Draw(sheet)
        for index, line in enumerate(lines):
            draw.text((GAP, 6 + LINE * index), line, fill=INK, font=font(14))
        for text, (left, bottom) in zip(captions or (), corners, strict=False):
            draw.text((left, bottom + 1), text, fill=INK, font=font(10))
    return sheet


def pictures(explanations: np.ndarray, media: str) -> np.ndarray:
    """[N, ...] explanations as RGB pictures, uint8 [N, H, W, 3]; what is not finite is drawn as zero.

    A medium that the shape does not allow (a vector as an image) is drawn as an "array".
    """
    x = np.nan_to_num(np.asarray(explanations, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if media == "image" and x.ndim >= 3:
        return _rgb(x)
    if media == "logmel" and _is_mel(x):
        mel = x.reshape(len(x), *x.shape[-2:])[:, ::-1]  # low frequency at the bottom
        return _coloured(mel, low=1.0, high=99.8, colours="magma")
    if media == "spectrum" and x.ndim == 3 and x.shape[1] in (2, 4):
        return draw_spectra(x)
    if media == "radio" and x.ndim == 4 and x.shape[1] == PLANES:
        return draw_radio_maps(x)
    if x.ndim >= 3 and min(x.shape[-2:]) > 1:
        planes = x.reshape(len(x), -1, *x.shape[-2:]).mean(axis=1)
        return _coloured(planes, low=0.0, high=100.0, colours="viridis")
    return _lines(x.reshape(len(x), -1))


def enlarge(cells: np.ndarray, cell: int) -> np.ndarray:
    """Nearest-neighbour enlargement by the largest whole factor that keeps the shorter side within `cell`."""
    factor = max(1, cell // max(1, min(cells.shape[1:3])))
    return cells.repeat(factor, axis=1).repeat(factor, axis=2) if factor > 1 else cells


def write_audio(explanations: np.ndarray, path: Path, spec: MelSpec | None = None, examples: int = 4) -> Path | None:
    """The first `examples` log-mel explanations as one playable WAV, a quarter of a second apart (Griffin-Lim).

    None, and no file, for log-mels that `spec` cannot turn back (another number of bands: taken in another way), or
    when it fails: sound is a gift, and must not cost the pictures and tensors beside it.
    """
    from raysweep.data import audio

    spec = audio.MelSpec() if spec is None else spec
    if not _is_mel(explanations) or explanations.shape[-2] != spec.n_mels:
        return None
    try:
        with whole(path) as partial:
            audio.write_wav(partial, _sound(explanations[:examples], spec), spec.sample_rate)
    except (RaysweepError, OSError, ValueError, RuntimeError):  # RuntimeError is torch's
        return None
    return path


def _sound(explanations: np.ndarray, spec: MelSpec) -> np.ndarray:
    from raysweep.data import audio

    silence = np.zeros(spec.sample_rate // 4, dtype=np.float32)
    parts: list[np.ndarray] = []
    for mel in explanations.reshape(len(explanations), *explanations.shape[-2:]):
        finite = np.nan_to_num(np.asarray(mel, dtype=np.float32), nan=-16.0, posinf=0.0, neginf=-16.0)
        wave = audio.griffin_lim(finite, spec, iterations=32)  # half of the default: a sweep does this for every trial
        peak = float(np.abs(wave).max(initial=0.0))
        parts += [wave * (0.9 / peak) if peak > 0 else wave, silence]
    return np.concatenate(parts[:-1] or [silence])


def _is_mel(x: np.ndarray) -> bool:
    """[N, bands, frames], or the same with a channel axis of 1."""
    return x.ndim >= 3 and math.prod(x.shape[1:-2]) == 1


def _rgb(x: np.ndarray) -> np.ndarray:
    x = x.reshape(len(x), -1, *x.shape[-2:])
    if x.shape[1] not in (1, 3):
        x = x.mean(axis=1, keepdims=True)
    x = (np.clip(x, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return np.moveaxis(np.broadcast_to(x, (len(x), 3, *x.shape[-2:])), 1, -1)


def _coloured(planes: np.ndarray, *, low: float, high: float, colours: str) -> np.ndarray:
    """One scale for the whole sheet, so that pictures can be compared."""
    floor, ceiling = np.percentile(planes, [low, high]) if planes.size else (0.0, 1.0)
    scaled = (planes - floor) / max(float(ceiling - floor), 1e-12)
    return _palette(colours)[(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)]


def _lines(vectors: np.ndarray, width: int = 120, height: int = 72) -> np.ndarray:
    """Line plots on a common scale, with the zero line where it is in range."""
    low, high = (float(vectors.min()), float(vectors.max())) if vectors.size else (0.0, 1.0)
    span = (high - low) or 1.0
    cells = []
    for vector in vectors:
        plot = Image.new("RGB", (width, height), (246, 247, 249))
        draw = ImageDraw.Draw(plot)
        if low < 0 < high:
            zero = (height - 5) * high / span + 2
            draw.line([(0, zero), (width, zero)], fill=(208, 213, 219))
        across = np.linspace(2, width - 3, max(len(vector), 2))
        values = vector if len(vector) > 1 else np.repeat(vector, 2)
        up = (height - 5) * (high - values) / span + 2
        draw.line([(float(x), float(y)) for x, y in zip(across, up, strict=True)], fill=(38, 84, 160), width=1)
        cells.append(np.asarray(plot))
    return np.stack(cells) if cells else np.zeros((0, height, width, 3), dtype=np.uint8)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken where two spaces part the text; a piece too long, at any space."""
    lines: list[str] = []
    for piece in text.split("  "):
        for index, word in enumerate(piece.split(" ") if font(14).getlength(piece) > width else [piece]):
            longer = f"{lines[-1]}{' ' if index else '  '}{word}" if lines else word
            if lines and font(14).getlength(longer) <= width:
                lines[-1] = longer
            elif word.strip():
                lines.append(word.strip())
    return lines


def _columns(count: int, width: int, height: int, aspect: float = 1.8) -> int:
    """As many columns as make the sheet about `aspect` times as wide as high, without a nearly empty last row."""
    ideal = max(1, round(math.sqrt(max(count, 1) * aspect * height / max(width, 1))))
    near = range(max(1, ideal - 2), min(max(count, 1), ideal + 2) + 1)
    return min(near, key=lambda c: ((-count) % c / c + abs(c - ideal) / ideal, c), default=1)


@cache
def _palette(name: str) -> np.ndarray:
    from matplotlib import colormaps

    return (colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)


@cache
def font(size: int) -> Any:
    """What words on sheets are written in."""
    return ImageFont.load_default(size)
