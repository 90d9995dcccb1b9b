"""CARD.md and obfuscations.png, made from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from raysweep.data.spectrum import NOTE
from raysweep.zoo.notes.networks import CLASSES, FLOOR
from raysweep.zoo.notes.render import PROGRAMS
from raysweep.zoo.obfuscations import Fill, fill_in, interval, table

SHOWN = (0, 3, 5, 6, 7)  # families of the picture
DRAWN = ("nothing", "5% of the bins", "20% of the bins", "20% of bands of 16", "the magnitude", "the phase")
MADE = "#d1495b"

CARD = """# Notes of instruments in the zoo

Drawn by `python -m raysweep.zoo.notes.recipe` from figures.json, which it measured. The setting of Heiß, Levie,
Resnick, Kutyniok and Bruna (*In-distribution interpretability for challenging modalities*, 2020), with sampled
instruments in the place of NSynth: one-second notes at 16 kHz of ten families, as spectra [2, 256], float32: row 0 the
magnitude, its mean square 1, row 1 the phase in [-π, π], of the transform of the whole note in 256 bands of equal ratio
from 20 to 8000 Hz (`raysweep.data.spectrum`). Inside, each network looks at the log magnitude and at cosine and sine of
the phase. All trained on one CPU core with torch {obfuscations[torch]}; *adds* are multiply-adds of one forward pass.

| | test | phases random | magnitudes equal | other SoundFont | notes | seed | length | seconds | parameters | adds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

**Two accuracies.** *Test* notes are others than the training notes, but of the same instruments: a neighbouring key or
another velocity of nearly every test note was heard in training. *Other SoundFont* is the accuracy on
{data[soundfont]:,} notes of TimGM6mb, none of whose instruments were heard: what the classifier knows of instruments as
such. *Phases random* and *magnitudes equal* are accuracies on the test notes after every phase is replaced by a random
one, or every magnitude by 1: what the network gets from the other row alone, without having been trained on that.

Share of each family's notes that the classifier names rightly:

| | {families} |
| --- |{rule}
{recall}

## Data

Every family plays keys 36 to 84 (an octave lower where a SoundFont has no such key) at velocities 40 to 127, up to a
quarter of a semitone out of tune, and lets go after 0.5 to 0.9 s; so neither pitch nor loudness tells the family. No
SoundFont, program, key and velocity is in two splits.

| split | notes | SoundFonts | for |
| --- | --- | --- | --- |
| train | {data[train]:,} | FluidR3 Mono, MuseScore General | classifier, inpainter |
| judge | {data[judge]:,} | FluidR3 Mono, MuseScore General | judge |
| validation | {data[validation]:,} | FluidR3 Mono, MuseScore General | measuring, before the test split is |
| test | {data[test]:,} | FluidR3 Mono, MuseScore General | measuring; the first {test[notes]:,} ship |
| soundfont | {data[soundfont]:,} | TimGM6mb | measuring |

MuseScore General is made from FluidR3, so they stand on one side. `zoo://notes/test` holds {test[notes]:,} notes,
{test[per_class][0]} of each family in turn; its array `waves` (int16, 16 kHz) has the sounds of the first
{test[sounds]}. [notes.wav](notes.wav) plays one of each family, in the order of the classes.

| class | General MIDI programs, from 0 |
| --- | --- |
{programs}

## Inpainter

`inpainter(kept, mask, noise)`, each [B, 2, 256] with a binary mask (1: kept), gives a fill for what was removed; the
obfuscation is `kept + fill * (1 - mask)`. A GAN between obfuscations and notes (`raysweep/zoo/inpainting.py`), trained
for {inpainter[steps]:,} steps of {inpainter[batch]} notes and as many random masks: of single bins, of bands of 4, 16
and 64, of whole magnitudes and phases, kept in both rows alike or in each by itself. The averaged weights of the last
step are kept.

![notes, and obfuscations of them](obfuscations.png)

Left, test notes: magnitude in decibels above, phase below. To the right, obfuscations: black is kept, red is filled in.

Squared Fréchet distance in the judge's 128 features, with 95 % intervals, between obfuscations of
{obfuscations[n]:,} test notes and {obfuscations[references]:,} other test notes; the {obfuscations[n]:,} themselves are
at {floor}. Gaussian noise has each bin's mean and deviation, the constant is each row's mean.

{fills}

## Licences

test.npz, notes.wav and obfuscations.png hold notes of FluidR3 and MuseScore General (both MIT). The notes of TimGM6mb
(GPL-2) do not ship, and trained nothing. The rest is Apache-2.0, like raysweep. LICENSE, beside this card, has the
details.
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    recalls = figures["classifier"]["recall"]
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name]) for name in ("classifier", "judge", "inpainter")),
        families=" | ".join(CLASSES),
        rule=" --- |" * len(CLASSES),
        recall="\n".join(
            f"| {name} | " + " | ".join(f"{recalls[split][family]:.0%}" for family in CLASSES) + " |"
            for name, split in (("test", "test"), ("other SoundFont", "soundfont"))
        ),
        programs="\n".join(f"| {name} | {_span(name)} |" for name in CLASSES),
        floor=interval(figures["obfuscations"]["floor"]),
        fills=table(figures["obfuscations"]),
    )
    file.write_text(text, encoding="utf-8")


def draw_obfuscations(inpainter: Fill, x: Tensor, y: Tensor, masks: dict[str, Tensor], file: Path) -> None:
    """A note of some families, spectra x [N, 2, F] of classes y [N], and what the inpainter makes through each mask."""
    made = {kind: fill_in(inpainter, x[:50], masks[kind][:50], seed=0) for kind in DRAWN}
    figure = Figure(figsize=(2.6 * (1 + len(DRAWN)), 2.6 * len(SHOWN)), layout="constrained")
    grid = figure.subplots(2 * len(SHOWN), 1 + len(DRAWN), height_ratios=[2, 1] * len(SHOWN), sharex=True)
    for row, family in enumerate(SHOWN):
        index = int((y == family).nonzero()[0])
        cells = grid[2 * row : 2 * row + 2].T
        _draw_note(cells[0], x[index], None, CLASSES[family])
        for cell, kind in zip(cells[1:], DRAWN, strict=True):
            _draw_note(cell, made[kind][index], masks[kind][index], f"kept: {kind}")
    figure.savefig(file, dpi=60)


def _draw_note(cells: tuple[Axes, Axes], note: Tensor, mask: Tensor | None, title: str) -> None:
    """Magnitude in decibels above, phase below; what a mask removed is drawn in red."""
    middle = np.sqrt(NOTE.edges[:-1] * NOTE.edges[1:])
    values = 20 * np.log10(note[0].numpy() + FLOOR), note[1].numpy()
    for cell, value, channel in zip(cells, values, range(2), strict=True):
        colours = ["black" if mask is None or kept else MADE for kept in (mask if mask is not None else note)[channel]]
        if channel == 0:
            cell.vlines(middle, -60, value, colors=colours, linewidth=0.8)
            cell.set_ylim(-60, 25)
            cell.set_title(title, fontsize=9)
        else:
            cell.scatter(middle, value, s=1.5, c=colours)
            cell.set_ylim(-3.3, 3.3)
        cell.set_xscale("log")
        cell.tick_params(labelsize=6)


def _span(family: str) -> str:
    return f"{PROGRAMS[family][0]}–{PROGRAMS[family][-1]}"


def _network(name: str, row: dict[str, Any]) -> str:
    shares = [f"{row[k]:.1%}" if k in row else "–" for k in ("test", "without_phase", "without_magnitude", "soundfont")]
    length = f"{row['epochs']} epochs" if "epochs" in row else f"{row['steps']:,} steps"
    cells = (row["notes"], row["seed"], length, row["seconds"], row["parameters"], row["multiply_adds"])
    return f"| {name} | " + " | ".join([*shares, *(f"{c:,}" if isinstance(c, int) else c for c in cells)]) + " |"
