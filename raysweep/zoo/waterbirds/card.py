"""CARD.md and samples.png, made from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from raysweep.zoo.waterbirds.composites import Composites
from raysweep.zoo.waterbirds.source import BIRDS, PHOTOGRAPHS
from raysweep.zoo.waterbirds.supervised import GROUPS

COLUMNS, ENLARGE = 16, 2
WORDS = ("land bird on land", "land bird on water", "water bird on land", "water bird on water")
PROBED = ("erm", "dro", "erm_robust", "dro_robust")
LEARNS = {**dict.fromkeys((*PROBED, "judge"), "birds"), "background": "backgrounds"}

CARD = """# Waterbirds in the zoo

Drawn by `python -m raysweep.zoo.waterbirds.recipe` from figures.json, which it measured. The setting of Sagawa, Koh,
Hashimoto and Liang (*Distributionally robust neural networks for group shifts*, ICLR 2020): birds of land and water,
nearly all of them on their own background, so that a classifier of birds may learn backgrounds. Images are [3, 32, 32],
float32 in [0, 1]; each network standardises inside. All trained on one CPU core with torch {erm[torch]}.

![eight of each group, land birds above](samples.png)

## Data

{land} cut-outs of land birds and {water} of water birds, mirrored, turned by up to 15°, scaled to 16 to 24 pixels and
lit anew for each image, on squares of {ground} photographs of land and {sea} of water. Each photograph is cut into
three upright strips, which have no background in common; the birds are the same in all.

| images of | strip | {words} | for |
| --- | --- | --- | --- | --- | --- | --- |
| train | first | {train} | ERM and DRO: {agreeing:.0%} of the birds are on their own background |
| judge | second | {judge_groups} | the judge |
| witness | all | {witness} | the witness of backgrounds, which is to know every piece of them |
| seen | third | {seen} | `zoo://waterbirds/seen`, to train generators with |
| test | third | {test} | `zoo://waterbirds/test`, to compare with |
| report | third | {report} | the accuracies below |

The images of both archives have their background beside them, an array `background` (0 land, 1 water). With few
cut-outs and photographs this is a small world: what the accuracies say is how much a network heeds the background, not
how well it would name other birds.

## Networks

`erm` and `dro` are one architecture, with the same images, seed and schedule: `erm` lowers the mean loss, `dro` the
worst group's (group DRO, η = {dro[group_step]}, batches with as many of each group; `supervised.py`). `erm_robust` and
`dro_robust` are the same again, trained on images that PGD moved by up to {attacks[radius]} in L2, in
{attacks[training_steps]} steps. `judge`, of another architecture, learnt birds where the background says nothing, and
`background` learnt backgrounds, whatever bird is there; no image is in two rows of the table above. Share of images
named rightly, and of the {attacks[images]} of the test those that are named rightly still after each of
{attacks[restarts]} attacks of {attacks[steps]} steps:

| | learns | {words} | attacked | images | seed | epochs | CPU seconds | parameters | multiply-adds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

Where there is no bird at all, DRO and the judge go by the background too. Share of {bare[images]} bare backgrounds of
each kind that are named a water bird:

| | {barely} |
| --- | --- | --- | --- | --- | --- |
{bare_rows}

## Licences

seen.npz, test.npz and samples.png are made from pictures under the GNU General Public License, and are under its
version 2 (GPL-2). LICENSE, beside this card, names the pictures and what was changed. The weights and the rest are
Apache-2.0, like raysweep.
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    groups = figures["data"]["groups"]
    counts = {name: " | ".join(f"{count:,}" for count in row) for name, row in groups.items()}
    text = CARD.format(
        erm=figures["erm"],
        dro=figures["dro"],
        agreeing=figures["data"]["agreeing"],
        land=len(BIRDS[0].split()),
        water=len(BIRDS[1].split()),
        ground=len(PHOTOGRAPHS[0]),
        sea=len(PHOTOGRAPHS[1]),
        attacks=figures["attacks"],
        bare=figures["bare"],
        barely=" | ".join((*PROBED, "judge")),
        bare_rows="\n".join(
            f"| {name} | " + " | ".join(f"{share:.1%}" for share in figures["bare"][name].values()) + " |"
            for name in ("land", "water")
        ),
        words=" | ".join(WORDS),
        judge_groups=counts.pop("judge"),
        **counts,
        networks="\n".join(_network(name, figures[name], figures["attacks"]["left"].get(name)) for name in LEARNS),
    )
    file.write_text(text, encoding="utf-8")


def draw_groups(images: Composites, file: Path) -> None:
    """The first eight images of each group, land birds above, water behind to the right, twice enlarged."""
    shown = [images.x[images.group == group][: COLUMNS // 2] for group in range(GROUPS)]
    rows = torch.cat(shown).unflatten(0, (-1, COLUMNS)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    picture = Image.fromarray(np.ascontiguousarray(rows.numpy()))
    picture.resize((picture.width * ENLARGE, picture.height * ENLARGE), Image.Resampling.NEAREST).save(
        file, optimize=True
    )


def _network(name: str, row: dict[str, Any], attacked: float | None) -> str:
    shares = " | ".join(f"{share:.1%}" for share in row["accuracy"])
    numbers = (row[key] for key in ("images", "seed", "epochs", "seconds", "parameters", "multiply_adds"))
    left = "" if attacked is None else f"{attacked:.1%}"
    return f"| {name} | {LEARNS[name]} | {shares} | {left} | " + " | ".join(f"{number:,}" for number in numbers) + " |"
