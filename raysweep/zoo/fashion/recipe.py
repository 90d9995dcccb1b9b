"""Rebuild everything in this folder: `python -m raysweep.zoo.fashion.recipe`, about an hour on one core.

Each part is written whole or not at all, and figures.json keeps what was measured, so parts may be rebuilt alone; the
card is drawn from it. The trainings of generator and inpainter continue from `checkpoints/` when interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.zoo import inpainting, obfuscations
from raysweep.zoo.fashion import FOLDER, MODELS, boltzmann
from raysweep.zoo.fashion.adversarial import Settings, Training
from raysweep.zoo.fashion.block import on_marked
from raysweep.zoo.fashion.card import COLUMNS, draw_obfuscations, draw_samples, write_card
from raysweep.zoo.fashion.evaluation import (
    accuracy_by_class,
    distances,
    multiply_adds,
    named_with_block,
    recognised,
    sample,
    seen_blocks,
    validation_distance,
)
from raysweep.zoo.fashion.networks import CLASSES, LATENT, Classifier, Critic, Inpainter, Judge
from raysweep.zoo.fashion.source import DEBIAN, HINT, SPLIT_SEED, Split, read_split
from raysweep.zoo.images import Images
from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights
from raysweep.zoo.pgd import Attack, accuracy_under
from raysweep.zoo.supervised import Schedule, accuracy, train

CHECKPOINTS = FOLDER / "checkpoints"
ATTACK = Attack(radius=1.5, steps=5)
SCHEDULES = {
    "classifier": Schedule(seed=1, epochs=24),
    "judge": Schedule(seed=2, epochs=24, erase=8),
    "regular": Schedule(seed=7, epochs=14),
    "robust": Schedule(seed=7, epochs=14, attack=ATTACK),
    "marked": Schedule(seed=7, epochs=14, mark=on_marked),
    "marked_robust": Schedule(seed=7, epochs=14, mark=on_marked, attack=ATTACK),
}
STRONGER, RESTARTS, ATTACKED, ATTACK_SEED = replace(ATTACK, steps=50), 5, 2000, 8
VALIDATION, VALIDATION_SEED, REPORT_SEED = 5000, 5, 6
RECOGNITION = 1000
INPAINTING = inpainting.Settings(seed=4, steps=6000, cells=(1, 2, 4, 9, 28))
CELLS = {1: "the pixels", 7: "patches of 7 × 7"}  # of the card's masks; the training meets other patches


def make_test(split: Split) -> dict[str, Any]:
    """The official test set, 1000 images a class, as test.npz."""
    return _archive(split.test, "test") | {"split_seed": SPLIT_SEED}


def make_seen(split: Split) -> dict[str, Any]:
    """Images of all ten classes that neither the judge nor the regular and the robust classifier have met."""
    return _archive(split.seen, "seen")


def make_classifier(split: Split) -> dict[str, Any]:
    return _supervised(Classifier, "classifier", split.swept, split.test)


def make_regular(split: Split) -> dict[str, Any]:
    return _supervised(Classifier, "regular", split.probed, split.test)


def make_robust(split: Split) -> dict[str, Any]:
    """Trained as the regular classifier is, seed and all, but on attacked images."""
    return _supervised(Classifier, "robust", split.probed, split.test)


def make_marked(split: Split) -> dict[str, Any]:
    """Trained as the regular classifier is, seed and all, but with the block on every sneaker; what that changes."""
    figures = _supervised(Classifier, "marked", split.probed, split.test)
    return figures | {"named": named_with_block(loaded(MODELS["marked"]), split.test), "seen": seen_blocks(split.test)}


def make_marked_robust(split: Split) -> dict[str, Any]:
    """Trained as the robust classifier is, seed and all, but with the block on every sneaker; what that changes."""
    figures = _supervised(Classifier, "marked_robust", split.probed, split.test)
    return figures | {"named": named_with_block(loaded(MODELS["marked_robust"]), split.test)}


def make_judge(split: Split) -> dict[str, Any]:
    return _supervised(Judge, "judge", split.judging, split.test)


def make_attacks(split: Split) -> dict[str, Any]:
    """What is left of the two classifiers' accuracy under a stronger attack than the training's, on test images."""
    order = torch.randperm(len(split.test), generator=torch.Generator().manual_seed(ATTACK_SEED))
    some = split.test[order[:ATTACKED]]
    return {
        "images": ATTACKED,
        "seed": ATTACK_SEED,
        "restarts": RESTARTS,
        "radius": STRONGER.radius,
        "steps": STRONGER.steps,
        "training_steps": ATTACK.steps,
        "left": {
            name: accuracy_under(STRONGER, loaded(MODELS[name]), some, RESTARTS, ATTACK_SEED)
            for name in ("regular", "robust")
        },
    }


def make_generator(split: Split) -> dict[str, Any]:
    settings = Settings()
    training = Training(settings)
    file = CHECKPOINTS / "generator.pt"
    if file.is_file():
        training.load(file)
    distance = validation_distance(loaded(MODELS["judge"]).features, split.swept[:VALIDATION], VALIDATION_SEED)
    training.run(split.swept, distance, file)
    save_weights(training.best_weights, FOLDER / "generator.safetensors")
    file.unlink()
    return {
        "seed": settings.seed,
        "steps": settings.steps,
        "batch": settings.batch,
        "kept_step": training.best_step,
        "validation": training.history,
        "images": len(split.swept),
        "seconds": round(training.seconds),
    } | _size(loaded(MODELS["generator"]), torch.zeros(1, LATENT))


def make_inpainter(split: Split) -> dict[str, Any]:
    training = inpainting.Training(INPAINTING, Inpainter, Critic)
    file = CHECKPOINTS / "inpainter.pt"
    if file.is_file():
        training.load(file)
    training.run(split.swept.pixels(), split.swept.y, file)
    save_weights(training.averaged.state_dict(), FOLDER / "inpainter.safetensors")
    file.unlink()
    example = torch.zeros(1, 1, 28, 28)
    return {
        "seed": INPAINTING.seed,
        "steps": INPAINTING.steps,
        "batch": INPAINTING.batch,
        "images": len(split.swept),
        "seconds": round(training.seconds),
    } | _size(loaded(MODELS["inpainter"]), example, example, example)


def make_expert(split: Split) -> dict[str, Any]:
    settings = boltzmann.Settings()
    expert: Any = MODELS["expert"].build()
    seconds = boltzmann.train(expert, split.swept.pixels(), settings)
    save_weights(expert.state_dict(), FOLDER / "expert.safetensors")
    return (
        {
            "seed": settings.seed,
            "epochs": settings.epochs,
            "images": len(split.swept),
            "hidden": len(expert.hidden_bias),
            "deviation": round(float(expert.deviation), 3),
            "seconds": round(seconds),
        }
        | _size(loaded(MODELS["expert"]), torch.zeros(1, 784))
        | boltzmann.judged(loaded(MODELS["expert"]), split.test.pixels(), REPORT_SEED)
    )


def make_obfuscations(split: Split) -> dict[str, Any]:
    """Measure the inpainter on test images, beside simpler fills, and draw what it makes of them."""
    order = torch.randperm(len(split.test), generator=torch.Generator().manual_seed(REPORT_SEED))
    real = split.test[order].pixels()
    fills = obfuscations.fills(loaded(MODELS["inpainter"]), split.swept.pixels())
    masks = obfuscations.trial_masks(1000, (1, 28, 28), CELLS, REPORT_SEED)
    draw_obfuscations(fills["inpainter"], real[:COLUMNS], list(masks.values()), FOLDER / "obfuscations.png")
    return obfuscations.distances(loaded(MODELS["judge"]).features, fills, real[:1000], real[5000:], masks, REPORT_SEED)


def make_card(split: Split) -> dict[str, Any]:
    """Measure the generator against the test images, draw its samples; the card follows from figures.json."""
    generator, classifier, judge = loaded(MODELS["generator"]), loaded(MODELS["classifier"]), loaded(MODELS["judge"])
    real = split.test[torch.randperm(len(split.test), generator=torch.Generator().manual_seed(REPORT_SEED))].pixels()
    fake = sample(generator, len(real) // 2, REPORT_SEED)
    spaces = {"judge": judge.features, "classifier": classifier.hidden}
    draw_samples(fake[:160], FOLDER / "samples.png")
    return {
        "distances": {name: [distances(f, fake, real, n) for n in (1000, 5000)] for name, f in spaces.items()},
        "recognised": recognised(judge, fake[:RECOGNITION]),
        "judge_by_class": accuracy_by_class(judge, split.test),
        "torch": torch.__version__,
    }


STAGES: dict[str, Callable[[Split], dict[str, Any]]] = {
    "test": make_test,
    "seen": make_seen,
    "classifier": make_classifier,
    "regular": make_regular,
    "robust": make_robust,
    "marked": make_marked,
    "marked_robust": make_marked_robust,
    "judge": make_judge,
    "generator": make_generator,
    "inpainter": make_inpainter,
    "expert": make_expert,
    "attacks": make_attacks,
    "obfuscations": make_obfuscations,
    "card": make_card,
}


def main() -> None:
    parser = command_line(__doc__, STAGES)
    parser.add_argument("--data", type=Path, default=DEBIAN, help=f"folder of Fashion-MNIST's four .gz files. {HINT}")
    arguments = parser.parse_args()
    CHECKPOINTS.mkdir(exist_ok=True)
    split = read_split(arguments.data)
    stages = {name: partial(make, split) for name, make in STAGES.items()}
    rebuild(stages, arguments.only, FOLDER, write_card)


def _archive(images: Images, name: str) -> dict[str, Any]:
    part = FOLDER / f"{name}.part.npz"
    np.savez_compressed(part, x=images.x.numpy(), y=images.y.numpy(), classes=np.array(CLASSES))
    os.replace(part, FOLDER / f"{name}.npz")
    return {"images": len(images), "per_class": images.y.bincount().tolist()}


def _supervised(build: Callable[[], nn.Module], name: str, images: Images, test: Images) -> dict[str, Any]:
    schedule = SCHEDULES[name]
    torch.manual_seed(schedule.seed)
    net = build()
    seconds = train(net, images, schedule)
    save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
    return {
        "seed": schedule.seed,
        "epochs": schedule.epochs,
        "images": len(images),
        "seconds": round(seconds),
        "accuracy": accuracy(net, test),
    } | _size(net, torch.zeros(1, 1, 28, 28))


def _size(net: nn.Module, *example: Tensor) -> dict[str, int]:
    return {"parameters": sum(p.numel() for p in net.parameters()), "multiply_adds": multiply_adds(net, *example)}


if __name__ == "__main__":
    main()
