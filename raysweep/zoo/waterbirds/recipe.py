"""Rebuild everything in this folder: `python -m raysweep.zoo.waterbirds.recipe [--only PART]`, minutes on one core.

It needs the pictures of three Debian packages, installed (`apt-get install tuxpaint-stamps-default tuxpaint-data
mate-backgrounds`) or unpacked by `dpkg -x` in a folder that `--root` names. figures.json keeps what each part
measured, so parts may be rebuilt alone; the card is drawn from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysweep.zoo.fashion.evaluation import multiply_adds
from raysweep.zoo.images import Images
from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights
from raysweep.zoo.pgd import Attack, accuracy_under
from raysweep.zoo.waterbirds import FOLDER, MODELS
from raysweep.zoo.waterbirds.card import PROBED, draw_groups, write_card
from raysweep.zoo.waterbirds.composites import STRIPS, Composites, compose, join, scenes
from raysweep.zoo.waterbirds.networks import BACKGROUNDS, BIRDS, SIDE
from raysweep.zoo.waterbirds.source import Pictures, read_birds, read_photographs
from raysweep.zoo.waterbirds.supervised import GROUPS, Schedule, accuracies, train

AGREEING = 0.95
SPLITS = {  # strip, images, share of birds on their own background, seed
    "train": ("train", 20000, AGREEING, 1),
    "judge": ("judge", 4000, 0.5, 2),
    "witness": ("all", 4500, 0.5, 6),
    "seen": ("open", 1600, 0.5, 3),
    "test": ("open", 600, 0.5, 4),
    "report": ("open", 4000, 0.5, 5),
}
ATTACK = Attack(radius=0.25, steps=3)
STRONGER, RESTARTS, ATTACK_SEED = replace(ATTACK, steps=50), 5, 8
MEAN = Schedule(seed=11, epochs=8)
WORST = replace(MEAN, group_step=0.01)
SCHEDULES = {
    "erm": ("train", MEAN),
    "dro": ("train", WORST),
    "erm_robust": ("train", replace(MEAN, attack=ATTACK)),
    "dro_robust": ("train", replace(WORST, attack=ATTACK)),
    "judge": ("judge", replace(MEAN, seed=12, epochs=40)),
    "background": ("witness", Schedule(seed=13, epochs=10, names="background")),
}

BARE, BARE_SEED = 500, 9

Rooms = tuple[Pictures, Pictures]


def make_data(pictures: Rooms) -> dict[str, Any]:
    """The images of both shipped splits, and what the others hold."""
    for name in ("seen", "test"):
        images = split(pictures, name)
        part = FOLDER / f"{name}.part.npz"
        arrays: dict[str, Any] = {"x": images.x, "y": images.bird, "background": images.background}
        np.savez_compressed(part, classes=np.array(BIRDS), **arrays)
        part.replace(FOLDER / f"{name}.npz")
    draw_groups(split(pictures, "seen"), FOLDER / "samples.png")
    found = {name: split(pictures, name).group.bincount(minlength=GROUPS).tolist() for name in SPLITS}
    return {"groups": found, "agreeing": AGREEING, "strips": STRIPS, "seeds": {n: SPLITS[n][3] for n in SPLITS}}


def split(pictures: Rooms, name: str) -> Composites:
    """A split's images, composed anew."""
    strip, count, agreeing, seed = SPLITS[name]
    strips = list(STRIPS) if strip == "all" else [strip]
    each = count // len(strips)
    return join([compose(*pictures, one, each, agreeing, seed + 1000 * place) for place, one in enumerate(strips)])


def make_bare(pictures: Rooms) -> dict[str, Any]:
    """What classifiers of birds say of backgrounds where there is no bird: the share that each calls a water bird."""
    shares: dict[str, Any] = {"images": BARE, "seed": BARE_SEED}
    for name, photographs in zip(BACKGROUNDS, pictures[1], strict=True):
        x = scenes(photographs, "open", BARE, BARE_SEED).float() / 255
        with torch.no_grad():
            called = {net: loaded(MODELS[net])(x).argmax(1) for net in (*PROBED, "judge")}
        shares[name] = {net: float(birds.double().mean()) for net, birds in called.items()}
    return shares


def make_attacks(pictures: Rooms) -> dict[str, Any]:
    """What is left of the probed classifiers' accuracy on the test under a stronger attack than the training's."""
    test = split(pictures, "test")
    images = Images(test.x, test.bird)
    left = {name: accuracy_under(STRONGER, loaded(MODELS[name]), images, RESTARTS, ATTACK_SEED) for name in PROBED}
    settings = {"radius": STRONGER.radius, "steps": STRONGER.steps, "training_steps": ATTACK.steps}
    return {**settings, "restarts": RESTARTS, "seed": ATTACK_SEED, "images": len(images), "left": left}


def _trained(name: str) -> Callable[[Rooms], dict[str, Any]]:
    def make(pictures: Rooms) -> dict[str, Any]:
        source, schedule = SCHEDULES[name]
        torch.manual_seed(schedule.seed)
        net = MODELS[name].build()
        images = split(pictures, source)
        seconds = train(net, images, schedule)
        save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
        return {
            "seed": schedule.seed,
            "epochs": schedule.epochs,
            "images": len(images),
            "seconds": round(seconds),
            "group_step": schedule.group_step,
            "accuracy": accuracies(net, split(pictures, "report"), schedule.names),
            "test": accuracies(net, split(pictures, "test"), schedule.names),
            "parameters": sum(p.numel() for p in net.parameters()),
            "multiply_adds": multiply_adds(net, torch.zeros(1, 3, SIDE, SIDE)),
            "torch": torch.__version__,
        }

    return make


PARTS: dict[str, Callable[[Rooms], dict[str, Any]]] = {"data": make_data}
PARTS |= {name: _trained(name) for name in SCHEDULES} | {"bare": make_bare, "attacks": make_attacks}


def main() -> None:
    parser = command_line(__doc__, PARTS)
    parser.add_argument("--root", type=Path, default=Path("/"), help="folder that the packages were unpacked in")
    arguments = parser.parse_args()
    pictures = read_birds(arguments.root), read_photographs(arguments.root)
    parts = {name: partial(make, pictures) for name, make in PARTS.items()}
    rebuild(parts, arguments.only, FOLDER, write_card)


if __name__ == "__main__":
    main()
