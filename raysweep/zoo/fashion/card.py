"""CARD.md and samples.png, drawn from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from torch.nn import functional

COLUMNS, ENLARGE = 16, 2

CARD = """# Fashion-MNIST in the zoo

Drawn by `python -m raysweep.zoo.fashion.recipe` from figures.json, which it measured. Images are [1, 28, 28], float32
in [0, 1]; each network standardises inside. All trained on one CPU core with torch {card[torch]}.

| | test accuracy | training images | seed | epochs | CPU seconds | parameters | multiply-adds |
| --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

## Data

`zoo://fashion/test` is Fashion-MNIST's official test set: {test[images]:,} images, {test[per_class][0]:,} of each of
the 10 classes. It trained nothing. The 60,000 training images are divided by a permutation (seed {test[split_seed]}):
{classifier[images]:,} for the classifier and the generator, {judge[images]:,} for the judge, which therefore shares
no training image with what it judges.

Xiao, Rasul and Vollgraf, *Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms* (2017,
arXiv:1708.07747). MIT licence, © 2017 Zalando SE (LICENSE, beside this card). The weights are Apache-2.0, like
raysweep.

## Generator

Latent: 64 independent standard normals. A GAN trained for {generator[steps]:,} steps of {generator[batch]} images,
{generator[seconds]:,} CPU seconds, seed {generator[seed]}. The averaged weights of step {generator[kept_step]:,} are
kept, chosen among {checks} by the distance of 5000 samples to 5000 of its own training images in the judge's features.
The judge played no other part in the training; the classifier played none, so distances in its features stand beside.

![samples](samples.png)

Squared Fréchet distance between N samples and N held-out test images, beside the floor: N other held-out images
against the same ones. Mean over disjoint blocks. The distance is biased upwards at small N, and so is the floor:
compare at equal N only.

| features | N | blocks | samples to images | images to images (floor) | ratio |
| --- | --- | --- | --- | --- | --- |
{distances}

The judge names {named} of the 10 classes in at least 1 % of {total} samples:

| {classes} |
| {rule} |
| {counts} |

## Use

Sweeps optimise latents through the generator and the classifier: {together:.1f} million multiply-adds an example
forward. `features.8` of the classifier is its last feature map ([64, 7, 7], after the ReLU).
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    recognised = figures["card"]["recognised"]
    total = sum(recognised.values())
    together = figures["generator"]["multiply_adds"] + figures["classifier"]["multiply_adds"]
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name]) for name in ("classifier", "judge", "generator")),
        distances="\n".join(
            _distance(name, row) for name, rows in figures["card"]["distances"].items() for row in rows
        ),
        named=sum(count >= 0.01 * total for count in recognised.values()),
        total=total,
        classes=" | ".join(recognised),
        rule=" | ".join("---" for _ in recognised),
        counts=" | ".join(str(count) for count in recognised.values()),
        together=together / 1e6,
        checks=len(figures["generator"]["validation"]),
    )
    file.write_text(text, encoding="utf-8")


def draw_samples(images: Tensor, file: Path) -> None:
    """A sheet of images [N, 1, 28, 28] in [0, 1], N a multiple of 16, twice enlarged."""
    rows = functional.pad(images, (1, 1, 1, 1), value=1.0).unflatten(0, (-1, COLUMNS))[:, :, 0]
    sheet = rows.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    picture = Image.fromarray((sheet * 255).round().byte().numpy())
    picture.resize((picture.width * ENLARGE, picture.height * ENLARGE), Image.Resampling.NEAREST).save(
        file, optimize=True
    )


def _network(name: str, row: dict[str, Any]) -> str:
    accuracy = f"{row['accuracy']:.2%}" if "accuracy" in row else "–"
    cells = (
        row["images"],
        row["seed"],
        row.get("epochs", "–"),
        row["seconds"],
        row["parameters"],
        row["multiply_adds"],
    )
    return f"| {name} | {accuracy} | " + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in cells) + " |"


def _distance(name: str, row: dict[str, Any]) -> str:
    return f"| {name} | {row['n']} | {row['pairs']} | {row['distance']:.3f} | {row['floor']:.3f} | {row['ratio']:.2f} |"
