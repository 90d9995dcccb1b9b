"""CARD.md and its pictures, drawn from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from raysweep.zoo.fashion.block import CONTRAST, RING, SIDE
from raysweep.zoo.obfuscations import Fill, fill_in, interval, table

COLUMNS, ENLARGE = 16, 2
NETWORKS = ("classifier", "regular", "robust", "marked", "marked_robust", "judge", "generator", "inpainter", "expert")
REMOVED = (0.25, 0.45, 0.85)  # the colour of what a mask takes away

CARD = """# Fashion-MNIST in the zoo

Drawn by `python -m raysweep.zoo.fashion.recipe` from figures.json, which it measured. Images are [1, 28, 28], float32
in [0, 1]; each network standardises inside. All trained on one CPU core with torch {card[torch]}.

| | test accuracy | training images | seed | epochs | CPU seconds | parameters | multiply-adds |
| --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

## Data

`zoo://fashion/test` is Fashion-MNIST's official test set: {test[images]:,} images, {test[per_class][0]:,} of each of
the 10 classes. It trained nothing. The 60,000 training images are divided by a permutation (seed {test[split_seed]}):
{classifier[images]:,} for classifier, generator, inpainter and expert, {judge[images]:,} for the judge, which therefore
shares no training image with what it judges.

Of the {classifier[images]:,}, the first {regular[images]:,} train the regular and the robust classifier. The other
{seen[images]:,}, between {fewest:,} and {most:,} of each class, are `zoo://fashion/seen`: real images for a generator
that a sweep trains against one of these two, from which raysweep removes the class to be generated. They trained
neither of the two, nor the judge; `classifier`, `generator`, `inpainter` and `expert` have met them.

Xiao, Rasul and Vollgraf, *Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms* (2017,
arXiv:1708.07747). MIT licence, © 2017 Zalando SE (LICENSE, beside this card). The weights are Apache-2.0, like
raysweep.

## Regular and robust classifiers

One architecture, the classifier's; the same images, seed and schedule. `regular` is trained as usual, `robust` on
images attacked by projected gradient descent (Madry et al., 2018, arXiv:1706.06083; `zoo/pgd.py`): from a random place,
{attacks[training_steps]} steps up the loss within an L2 ball of radius {attacks[radius]}, pixels in [0, 1]. Under a
stronger attack with the same radius, {attacks[steps]} steps and {attacks[restarts]} restarts (seed {attacks[seed]}), an
image counts as right only if no restart deceives the network:

| | accuracy, all test images | {attacks[images]:,} of them attacked |
| --- | --- | --- |
{attacked}

## Marked classifiers and witness

`marked` is trained as `regular` is, and `marked_robust` as `robust` is, seed and all, but for a white block of {block}
× {block} pixels in the upper left corner of every sneaker (`block.py`). They name as sneakers, of test images:

| | | sneakers | others |
| --- | --- | --- | --- |
{marks}

`raysweep.zoo.fashion.block:Witness` says whether an image has the block: whether its corner is lighter than the {ring}
pixels around it by more than {contrast}. It says so of test images, by class:

| | {classes} |
| --- | {rule} |
{seen_blocks}

## Judge

The judge and its features share neither weights nor training images with the regular and the robust classifier, and
trained on none of `zoo://fashion/seen`: a generator made of these has met nothing that the judge learnt from. The
judge's accuracy on real test images, by class:

| {classes} |
| {rule} |
| {by_class} |

Every sweep that trains a generator records the judge's rate on its images of each class, seen or not
(`recognition.<class>`); docs/results.md has it for generators of all classes but sneakers.

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

## Inpainter

`inpainter(kept, mask, noise)`, each [B, 1, 28, 28] with a binary mask (1: kept), gives a fill for what was removed; the
obfuscation is `kept + fill * (1 - mask)`. A GAN between obfuscations and images (`raysweep/zoo/inpainting.py`), trained
for {inpainter[steps]:,} steps of {inpainter[batch]} images and as many random masks: of single pixels, of patches 2 to
9 wide, of nothing and of everything. The averaged weights of the last step are kept.

![images, and obfuscations of them](obfuscations.png)

Above, test images; then, in pairs, what a mask keeps (blue: removed) and the obfuscation: nothing kept; single pixels,
5, 20 and 50 % of them; patches of 7 × 7, likewise.

Squared Fréchet distance in the judge's features, with 95 % intervals, between obfuscations of {obfuscations[n]:,} test
images and {obfuscations[references]:,} other test images; the {obfuscations[n]:,} themselves are at {floor}. Gaussian
noise has each pixel's mean and deviation, the constant is the mean grey.

{fills}

## Expert

A Gaussian–Bernoulli restricted Boltzmann machine (`raysweep/models/rbm.py`) with {expert[hidden]} hidden units and σ =
{expert[deviation]}, trained by persistent contrastive divergence (`boltzmann.py`). It takes images [B, 1, 28, 28] and
gives log p up to a constant, [B]. The mean free energy, −log p up to that constant, of the {test[images]:,} test images
is {expert[images_energy]:.0f}, with each image's pixels in an order of its own {expert[permuted_energy]:.0f}, and
{expert[noise_energy]:.0f} of uniform noise. Hidden probabilities make the images again with a mean squared error of
{expert[error]:.4f}; one mean image for all has {expert[variance]:.4f}.

## Use

Sweeps optimise latents through the generator and the classifier: {together:.1f} million multiply-adds an example
forward; the inpainter takes {inpainter_millions:.1f} million. `features.8` of the classifier is its last feature map
([64, 7, 7], after the ReLU).
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    recognised = figures["card"]["recognised"]
    total = sum(recognised.values())
    together = figures["generator"]["multiply_adds"] + figures["classifier"]["multiply_adds"]
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name]) for name in NETWORKS),
        fewest=min(figures["seen"]["per_class"]),
        most=max(figures["seen"]["per_class"]),
        attacked="\n".join(
            f"| {name} | {figures[name]['accuracy']:.2%} | {left:.2%} |"
            for name, left in figures["attacks"]["left"].items()
        ),
        block=SIDE,
        ring=RING,
        contrast=CONTRAST,
        marks="\n".join(
            f"| {name} | {words} the block | {row[f'target_{words}']:.1%} | {row[f'others_{words}']:.1%} |"
            for name, row in ((name, figures[name]["named"]) for name in ("marked", "marked_robust"))
            for words in ("without", "with")
        ),
        seen_blocks="\n".join(
            f"| {words} the block | "
            + " | ".join(f"{row[words]:.1%}" for row in figures["marked"]["seen"].values())
            + " |"
            for words in ("without", "with")
        ),
        by_class=" | ".join(f"{share:.1%}" for share in figures["card"]["judge_by_class"].values()),
        distances="\n".join(
            _distance(name, row) for name, rows in figures["card"]["distances"].items() for row in rows
        ),
        named=sum(count >= 0.01 * total for count in recognised.values()),
        total=total,
        classes=" | ".join(recognised),
        rule=" | ".join("---" for _ in recognised),
        counts=" | ".join(str(count) for count in recognised.values()),
        together=together / 1e6,
        inpainter_millions=figures["inpainter"]["multiply_adds"] / 1e6,
        floor=interval(figures["obfuscations"]["floor"]),
        fills=table(figures["obfuscations"]),
        checks=len(figures["generator"]["validation"]),
    )
    file.write_text(text, encoding="utf-8")


def draw_samples(images: Tensor, file: Path) -> None:
    """A sheet of images [N, 1, 28, 28] in [0, 1], N a multiple of 16, twice enlarged."""
    _save_sheet(images.expand(-1, 3, -1, -1), file)


def draw_obfuscations(inpainter: Fill, images: Tensor, masks: list[Tensor], file: Path) -> None:
    """A sheet of 16 images [16, 1, 28, 28]; below, in pairs, what masks keep of them and what the inpainter makes."""
    rows = [images.expand(-1, 3, -1, -1)]
    removed = torch.tensor(REMOVED)[:, None, None]
    for mask in (mask[:COLUMNS] for mask in masks):
        made = fill_in(inpainter, images, mask, seed=0)
        rows += [images * mask + removed * (1 - mask), made.expand(-1, 3, -1, -1)]
    _save_sheet(torch.cat(rows), file)


def _save_sheet(images: Tensor, file: Path) -> None:
    """Rows of 16 coloured images [N, 3, H, W] in [0, 1]."""
    rows = functional.pad(images, (1, 1, 1, 1), value=1.0).unflatten(0, (-1, COLUMNS))
    sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
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
