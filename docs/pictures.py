"""Makes the pictures and sounds in results.md out of finished sweeps.

    python docs/pictures.py fills STORAGE docs/rde-fills.png
    python docs/pictures.py notes STORAGE docs/rde-notes.png
    python docs/pictures.py sounds STORAGE docs/rde-notes.wav
    python docs/pictures.py unseen STORAGE docs/probegan-fashion.png
    python docs/pictures.py classes STORAGE docs/probegan-fashion-classes.png
    python docs/pictures.py marker STORAGE docs/probegan-marker.png
    python docs/pictures.py spurious STORAGE docs/probegan-spurious.png
    python docs/pictures.py voices STORAGE docs/probegan-audio.png

results.md says which sweeps.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raysweep.data.audio import write_wav
from raysweep.data.load import load_data
from raysweep.data.spectrum import NOTE
from raysweep.data.waves import waves_of
from raysweep.outcome import SweepResult
from raysweep.record.note_parts import parts_of
from raysweep.record.overlay import looked_at, of_classes, over_images
from raysweep.record.sheets import draw_sheet, enlarge, pictures
from raysweep.record.spectra import GROUND, KEPT, LOUDEST, QUIETEST, REMOVED

CELL, GAP, HEAD = 84, 4, 40
"""Pixels of a picture, between two, and of the lines above them."""
INK, SOFT, PAPER = (31, 35, 40), (95, 107, 120), (255, 255, 255)
COMPONENTS = {"patches": ("patches", "of 4 by 4"), "pixels": ("pixels", "")}
PROBES = {
    "marker": {
        "probegan-marker": "robust, weight 10",
        "marker": "weight 1",
        "marker-ten": "weight 10",
        "marker-shown": "block shown",
    },
    "spurious": {"probegan-spurious": "water bird", "probegan-spurious-land": "land bird"},
}
"""Sweeps whose witnesses are told of, and what to call them."""
FILLS = {"gaussian": "Gaussian noise", "blur": "blur", "inpainter": "inpainter"}


@dataclass(frozen=True)
class Column:
    """Pictures below each other, uint8 [N, H, W, 3], under two lines."""

    title: str
    below: str
    cells: np.ndarray


def side_by_side(columns: Sequence[Column]) -> Image.Image:
    """Columns of as many pictures each; one without a title stands under its neighbour's."""
    cells = [enlarge(column.cells, CELL) for column in columns]
    count, height, width, _ = cells[0].shape
    size = (GAP + len(columns) * (width + GAP), HEAD + count * (height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (column, below) in enumerate(zip(columns, cells, strict=True)):
        left = GAP + place * (width + GAP)
        draw.text((left, 2), column.title, fill=INK, font=ImageFont.load_default(15))
        draw.text((left, 21), column.below, fill=SOFT, font=ImageFont.load_default(13))
        for row, cell in enumerate(below):
            sheet.paste(Image.fromarray(cell), (left, HEAD + row * (height + GAP)))
    return sheet


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets below each other."""
    size = max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets) + 10 * (len(sheets) - 1)
    whole = Image.new("RGB", size, PAPER)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + 10
    return whole


def winner(storage: Path, name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The best trial of a sweep, and its tensors."""
    result = SweepResult.load(name, storage)
    if result.best is None:
        raise SystemExit(f"{name}: no trial is done")
    return result.best, result.tensors(result.best)


def fills(storage: Path, rows: int = 4) -> Image.Image:
    """The same samples under the winning masks of the sweeps `rde-fashion-<components>-<fill>`."""
    sheets = []
    for components, named in COMPONENTS.items():
        columns: list[Column] = []
        for fill, title in FILLS.items():
            trial, found = winner(storage, f"rde-fashion-{components}-{fill}")
            sample = found["sample"][:rows]
            if not columns:
                columns.append(Column(*named, pictures(sample, "image")))
            elif not np.array_equal(pictures(sample, "image"), columns[0].cells):
                raise SystemExit(f"rde-fashion-{components}-{fill} explains other samples")
            scores = trial.result.objectives
            keeps = f"keeps {scores['sparsity'].value:.0%}, distortion {scores['distortion'].value:.2g}"
            kept = over_images(sample, np.clip(found["mask"][:rows], 0, 1))
            columns += [
                Column(title, keeps, pictures(kept, "image")),
                Column("", "", pictures(found["explanation"][:rows], "image")),
            ]
        sheets.append(side_by_side(columns))
    return stacked(sheets)


def notes(storage: Path, name: str = "rde-notes", shown: int = 6) -> Any:
    """Magnitude and phase of notes over the frequency, in the colour of the importance θ (the paper's figure 2)."""
    from matplotlib import pyplot
    from matplotlib.colors import LinearSegmentedColormap

    _, found = winner(storage, name)
    data = load_data("zoo://notes/test")
    label = {row.tobytes(): data.classes[y] for row, y in zip(data.x, data.y, strict=True)}
    colours = LinearSegmentedColormap.from_list("kept", [REMOVED / 255, KEPT / 255])
    middle, ground = np.sqrt(NOTE.edges[:-1] * NOTE.edges[1:]), GROUND / 255
    figure, axes = pyplot.subplots(
        shown, 2, figsize=(10, 1.45 * shown), sharex=True, layout="constrained", gridspec_kw={"width_ratios": (3, 2)}
    )
    for (magnitude, phase), sample, mask in zip(axes, found["sample"], found["mask"], strict=False):
        decibel = np.clip(20 * np.log10(np.maximum(sample[0], 1e-6)), QUIETEST, LOUDEST)
        colour = colours(np.clip(mask, 0, 1))
        magnitude.bar(NOTE.edges[:-1], decibel - QUIETEST, np.diff(NOTE.edges), QUIETEST, align="edge", color=colour[0])
        phase.scatter(middle, sample[1], s=5, color=colour[1])
        magnitude.set(ylabel=label[sample.tobytes()], ylim=(QUIETEST, LOUDEST), yticks=(-40, 0))
        phase.set(ylim=(-np.pi, np.pi), yticks=(-np.pi, np.pi), yticklabels=("−π", "π"))
        for panel in (magnitude, phase):
            panel.set(xscale="log", xlim=(NOTE.fmin, NOTE.fmax), facecolor=ground)
    for panel, title in zip(axes[0], ("magnitude, dB of the mean power", "phase"), strict=True):
        panel.set_title(title, fontsize=11, loc="left")
    for panel in axes[-1]:
        panel.set(xlabel="Hz", xticks=(20, 100, 1000, 8000), xticklabels=("20", "100", "1000", "8000"))
        panel.minorticks_off()
    scale = pyplot.cm.ScalarMappable(cmap=colours)
    figure.colorbar(scale, ax=axes, label="importance θ", shrink=0.3, aspect=24, pad=0.01)
    return figure


def unseen(storage: Path, name: str = "probegan-fashion", shown: int = 6) -> Image.Image:
    """The class that a generator was never shown, along its training, for each classifier that was probed."""
    result = SweepResult.load(name, storage)
    found: dict[str, dict[int, tuple[np.ndarray, str]]] = {}
    for trial in result.ledger.trials.values():
        if trial.result is not None:
            metrics = trial.result.metrics
            says = f"{metrics['recognition']:.0%}, {metrics['target_fd']:.1f}"
            samples = result.tensors(trial)["explanation"][:shown]
            found.setdefault(trial.config["classifier"], {})[trial.result.step] = (samples, says)
    steps = sorted(set.intersection(*(set(by_step) for by_step in found.values())))
    columns = [Column("steps", "", np.stack([_written(f"{step:,}") for step in steps]))]
    for classifier, by_step in found.items():
        says = np.stack([_written(by_step[step][1]) for step in steps])
        columns.append(Column(classifier, "recognised, distance", says))
        columns += [
            Column("", "", pictures(np.stack([by_step[step][0][place] for step in steps]), "image"))
            for place in range(shown)
        ]
    return side_by_side(columns)


def classes(storage: Path, name: str = "probegan-fashion") -> Image.Image:
    """Every class as the winner makes it, the unseen one framed."""
    _, found = winner(storage, name)
    return draw_sheet(looked_at(found, "image"), "image", columns=1, cell=56)


def witnessed(storage: Path, names: dict[str, str], shown: int = 8, looks: int = 3) -> Image.Image:
    """A row for each classifier's last looks in each sweep: what the witness saw in the target's images, and some."""
    rows = list[list[np.ndarray]]()
    for name, called in names.items():
        result, found = SweepResult.load(name, storage), dict[str, dict[int, Any]]()
        for trial in result.ledger.trials.values():
            if trial.result:
                found.setdefault(trial.config["classifier"], {})[trial.result.step] = trial
        for classifier, by_step in found.items():
            for step in sorted(by_step)[-looks:]:
                metrics = by_step[step].result.metrics
                (witness,) = (key for key in metrics if key.startswith("witness.") and key.count(".") == 1)
                says = f"{classifier}\n{step:,} steps\n{witness.partition('.')[2]} {metrics[witness]:.0%}"
                cells = pictures(result.tensors(by_step[step])["explanation"][:shown], "image")
                rows.append([_written(called.replace(" ", "\n")), _written(says), *enlarge(cells, CELL)])
    return side_by_side([Column("", "", np.stack(cells)) for cells in zip(*rows, strict=True)])


def voices(storage: Path, name: str = "probegan-audio", shown: int = 10) -> Image.Image:
    """Log-mels of every class as the winner makes them, each above real ones."""
    _, found = winner(storage, name)
    data = load_data("zoo://voices/test")
    strips, captions = [], []
    for label, (made, unseen_one) in enumerate(zip(found["classes"], found["unseen"], strict=True)):
        real = data.x[data.y == label][:shown]
        strips += [*of_classes(np.stack([made[:shown], real]), np.zeros(2, bool), framed=False)]
        captions += [f"{data.classes[label]}, made{', never shown' * bool(unseen_one)}", f"{data.classes[label]}, real"]
    return draw_sheet(np.stack(strips), "logmel", captions=captions, columns=1, cell=64)


def _written(text: str) -> np.ndarray:
    """A text as a cell."""
    cell = Image.new("RGB", (CELL, CELL), PAPER)
    top = CELL // 2 - 9 * (1 + text.count("\n"))
    ImageDraw.Draw(cell).text((2, top), text, fill=INK, font=ImageFont.load_default(14))
    return np.asarray(cell)


def sounds(storage: Path, name: str = "rde-notes", heard: int = 3) -> np.ndarray:
    """The first of those notes, each followed by what its mask keeps and what it removes."""
    _, found = winner(storage, name)
    data = load_data("zoo://notes/test")
    waves = waves_of(found["sample"][:heard], data.x, data.waves)
    parts = [parts_of(wave, mask) for wave, mask in zip(waves, found["mask"], strict=False) if wave is not None]
    return np.concatenate([sound for three in parts for sound in three.values()])


def main(kind: str, storage: str, out: str) -> None:
    """Make one of them."""
    if kind == "sounds":
        write_wav(out, sounds(Path(storage)), NOTE.sample_rate)
        return
    if kind in PROBES:
        sheet = witnessed(Path(storage), PROBES[kind])
    elif kind != "notes":
        sheet = {"fills": fills, "unseen": unseen, "classes": classes, "voices": voices}[kind](Path(storage))
    else:
        stream = io.BytesIO()
        notes(Path(storage)).savefig(stream, dpi=90)
        sheet = Image.open(stream).convert("RGB")
    sheet.quantize(128, method=2).save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
