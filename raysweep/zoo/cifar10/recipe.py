"""Make what jobs/probegan-cifar10.yaml reads: `python -m raysweep.zoo.cifar10.recipe --data jobs/cifar10`.

The folder holds CIFAR-10 as train.parquet and test.parquet (columns img {bytes, path} and label, as data hubs have it).
Beside them are written: shown.parquet, the images that a generator may be shown; regular.safetensors and
robust.safetensors, ResNet-18s to probe; judge.safetensors; figures.json, and CARD.md, which says what they are worth.

Meant for a GPU. `--small` makes narrow networks with short trainings, to try everything on a CPU. Each part is written
whole or not at all, so parts may be made alone (`--only`).
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raysweep.zoo.cifar10.card import write_card
from raysweep.zoo.cifar10.networks import Classifier, Judge
from raysweep.zoo.cifar10.source import SPLIT_SEED, Split, read_split, write_shown
from raysweep.zoo.parts import record_figures, save_weights, with_weights
from raysweep.zoo.pgd import Attack, accuracy_under
from raysweep.zoo.supervised import Schedule, accuracy, train

RADIUS = 8 / 255
SMOOTHING = 0.0
"""Of labels: the classifiers' chances are what is probed."""


@dataclass(frozen=True)
class Size:
    """How large networks are, and how long they are trained.

    Args:
        classifier, judge: arguments of the networks.
        schedules: by network.
        attack: the stronger one that the two classifiers are measured under.
        attacked, restarts: test images that are attacked, and how often each.
    """

    schedules: dict[str, Schedule]
    attack: Attack
    attacked: int
    restarts: int
    classifier: dict[str, int] = field(default_factory=dict)
    judge: dict[str, int] = field(default_factory=dict)


def schedules(epochs: int, attack: Attack) -> dict[str, Schedule]:
    """The regular and the robust classifier are trained alike, but for the attack."""
    regular = Schedule(seed=1, epochs=epochs, shift=4, smoothing=SMOOTHING)
    judge = replace(regular, seed=2, epochs=2 * epochs, erase=8)
    return {"regular": regular, "robust": replace(regular, attack=attack), "judge": judge}


LARGE = Size(
    schedules=schedules(30, Attack(RADIUS, steps=10, norm="linf")),
    attack=Attack(RADIUS, steps=50, norm="linf"),
    attacked=10_000,
    restarts=2,
)
SMALL = Size(
    schedules=schedules(6, Attack(RADIUS, steps=2, norm="linf")),
    attack=Attack(RADIUS, steps=20, norm="linf"),
    attacked=1000,
    restarts=1,
    classifier={"width": 16, "blocks": 1},
    judge={"width": 16},
)


@dataclass(frozen=True)
class Recipe:
    """What is made, where, and on which device."""

    folder: Path
    size: Size
    device: torch.device

    @cached_property
    def split(self) -> Split:
        """The images."""
        return read_split(self.folder)

    @property
    def stages(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """What makes each part, and gives its figures."""
        return {
            "shown": lambda: {"images": write_shown(self.folder), "split_seed": SPLIT_SEED},
            "regular": lambda: self.trained("regular"),
            "robust": lambda: self.trained("robust"),
            "judge": lambda: self.trained("judge"),
            "attacks": self.attacked,
        }

    def network(self, name: str) -> nn.Module:
        """One of the networks, without weights."""
        made = Judge(**self.size.judge) if name == "judge" else Classifier(**self.size.classifier)
        return made.to(self.device)

    def load(self, name: str) -> nn.Module:
        """One of the networks as it was trained, in eval mode."""
        return with_weights(self.network(name), self.folder / f"{name}.safetensors")

    def trained(self, name: str) -> dict[str, Any]:
        """Train one of the networks and write its weights."""
        schedule, began = self.size.schedules[name], time.perf_counter()
        images = self.split.judging if name == "judge" else self.split.probed
        torch.manual_seed(schedule.seed)
        net = self.network(name)
        train(net, images, schedule)
        save_weights(net.state_dict(), self.folder / f"{name}.safetensors")
        return {
            "arguments": self.size.judge if name == "judge" else self.size.classifier,
            "seed": schedule.seed,
            "epochs": schedule.epochs,
            "attack_steps": schedule.attack.steps if schedule.attack else 0,
            "images": len(images),
            "seconds": round(time.perf_counter() - began),
            "accuracy": accuracy(net, self.split.test),
            "parameters": sum(one.numel() for one in net.parameters()),
        }

    def attacked(self) -> dict[str, Any]:
        """What is left of the two classifiers' accuracy under a stronger attack than the training's."""
        size, test = self.size, self.split.test
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(SPLIT_SEED))
        some = test[order[: size.attacked]]
        left = {
            name: accuracy_under(size.attack, self.load(name), some, size.restarts, SPLIT_SEED)
            for name in ("regular", "robust")
        }
        return {"images": len(some), "steps": size.attack.steps, "restarts": size.restarts, "left": left}

    def make(self, stage: str) -> None:
        """Make a part, keep its figures, and draw the card once all are there."""
        kept = record_figures(self.folder, stage, self.stages[stage]())
        if kept.keys() >= self.stages.keys():
            write_card(kept, self.folder / "CARD.md")


def main(arguments: list[str] | None = None) -> None:
    """Make all parts, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train.parquet and test.parquet")
    parser.add_argument("--small", action="store_true", help="narrow networks and short trainings, for a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", action="append", help="make this part alone (repeatable)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if given.device == "cpu":
        torch.set_num_threads(1)  # sums in one order: the same weights on every machine of a kind
    recipe = Recipe(given.data, SMALL if given.small else LARGE, torch.device(given.device))
    for stage in given.only or recipe.stages:
        if stage not in recipe.stages:
            parser.error(f"--only must be one of {', '.join(recipe.stages)} (found '{stage}')")
        recipe.make(stage)


if __name__ == "__main__":
    main()
