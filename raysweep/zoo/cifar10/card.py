"""CARD.md beside the weights, drawn from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = """# CIFAR-10 networks to probe

Drawn by `python -m raysweep.zoo.cifar10.recipe` from figures.json, which it measured.

| | test accuracy | training images | seed | epochs | seconds | parameters | arguments |
| --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

The {total:,} training images are divided by a permutation (seed {shown[split_seed]}). `regular`,
`robust` and shown.parquet are of the same {shown[images]:,}: as in the paper, a generator is shown images that the
classifiers it probes were trained on, but for those of the target class. The judge, of another architecture, was
trained on the other {judge[images]:,}: neither the classifiers nor a generator have met one of them. The test images
trained nothing.

`regular` and `robust` are alike in architecture, images, seed and schedule; `robust` was trained on images attacked by
projected gradient descent (Madry et al., 2018, arXiv:1706.06083), {robust[attack_steps]} steps in an L∞ ball of radius
8/255. Under a stronger attack with the same radius, {attacks[steps]} steps, each image {attacks[restarts]} times:

| | accuracy, all test images | {attacks[images]:,} of them attacked |
| --- | --- | --- |
{attacked}
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been made."""
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name]) for name in ("regular", "robust", "judge")),
        attacked="\n".join(
            f"| {name} | {figures[name]['accuracy']:.2%} | {left:.2%} |"
            for name, left in figures["attacks"]["left"].items()
        ),
        total=figures["shown"]["images"] + figures["judge"]["images"],
    )
    file.write_text(text, encoding="utf-8")


def _network(name: str, row: dict[str, Any]) -> str:
    cells = [f"{row[key]:,}" for key in ("images", "seed", "epochs", "seconds", "parameters")]
    arguments = ", ".join(f"{key} {value}" for key, value in row["arguments"].items()) or "–"
    return f"| {name} | {row['accuracy']:.2%} | {' | '.join(cells)} | {arguments} |"
