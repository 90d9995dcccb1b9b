"""Rebuild everything in this folder: `python -m raysweep.zoo.voices.recipe [--only PART]`, some ten minutes on a core.

It needs `pip install 'raysweep[recipes]'` and the Debian packages that `sources.py` names, installed or unpacked with
`dpkg-deb -x` into a folder that `--root` names. Excerpts are kept in `checkpoints/`; figures.json keeps what each part
measured, so parts may be rebuilt alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights
from raysweep.zoo.pgd import Attack
from raysweep.zoo.voices import FOLDER, MODELS
from raysweep.zoo.voices.card import write_card
from raysweep.zoo.voices.excerpts import HIGH, LOW, MEL, excerpts
from raysweep.zoo.voices.hearing import heard_pitches
from raysweep.zoo.voices.networks import CLASSES
from raysweep.zoo.voices.sources import SPLITS
from raysweep.zoo.voices.supervised import Range, Schedule, read, standing, train

CHECKPOINTS = FOLDER / "checkpoints"
SHIPPED = ("seen", "test")
SPAN = Range(LOW, HIGH)
ATTACK = Attack(radius=1.0, steps=3)
SCHEDULES = {
    "regular": ("classifier", Schedule(seed=1, epochs=12)),
    "robust": ("classifier", Schedule(seed=1, epochs=12, attack=ATTACK)),
    "judge": ("judge", Schedule(seed=2, epochs=30)),
}
STRONGER, RESTARTS, ATTACK_SEED = replace(ATTACK, steps=20), 2, 8


def make_data(root: Path) -> dict[str, Any]:
    """Every split's excerpts; those that ship, with how the log-mel was taken and which recording each is of."""
    figures = {}
    CHECKPOINTS.mkdir(exist_ok=True)
    for split in SPLITS:
        made = excerpts(split, root)
        arrays: dict[str, Any] = {"x": made.x, "y": made.y, "recording": made.recording}
        arrays |= {"classes": np.array(CLASSES), "mel": MEL.numbers}
        part = CHECKPOINTS / f"{split}.part.npz"
        np.savez_compressed(part, **arrays)
        part.replace(_file(split))
        figures[split] = {
            "per_class": dict(zip(CLASSES, np.bincount(made.y).tolist(), strict=True)),
            "recordings": len(set(made.recording.tolist())),
            "sources": dict(Counter(name.partition("/")[0] for name in made.recording.tolist())),
        }
    return figures


def make_regular(root: Path) -> dict[str, Any]:
    return _supervised("regular")


def make_robust(root: Path) -> dict[str, Any]:
    """Trained as the regular classifier is, seed and all, but on attacked excerpts."""
    return _supervised("robust")


def make_judge(root: Path) -> dict[str, Any]:
    return _supervised("judge")


def make_attacks(root: Path) -> dict[str, Any]:
    """What is left of the two classifiers' accuracy on the test under a stronger attack than the training's."""
    x, y = split_of("test")
    left = {
        name: standing(loaded(MODELS[name]), x, y, STRONGER, RESTARTS, ATTACK_SEED, SPAN)
        for name in ("regular", "robust")
    }
    settings = {"radius": STRONGER.radius, "steps": STRONGER.steps, "training_steps": ATTACK.steps}
    settings |= {"restarts": RESTARTS, "seed": ATTACK_SEED}
    return settings | {"left": left, "torch": torch.__version__}


def make_pitch(root: Path) -> dict[str, Any]:
    """How high the voices of the test are, and how high they are heard after the way to a log-mel and back."""
    x, y = split_of("test")
    found = {}
    for label in range(2):
        pitches = heard_pitches(x[y == label, 0].float().numpy())
        found[CLASSES[label]] = {
            "voiced": int(np.isfinite(pitches).sum()),
            "of": len(pitches),
            "quartiles": [round(float(q), 1) for q in np.nanpercentile(pitches, (25, 50, 75))],
        }
    return found


def split_of(name: str) -> tuple[Tensor, Tensor]:
    """A split's log-mels [N, 1, 32, 32] float16 and classes [N]."""
    with np.load(_file(name)) as made:
        return torch.from_numpy(made["x"]), torch.from_numpy(made["y"])


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "data": make_data,
    "regular": make_regular,
    "robust": make_robust,
    "judge": make_judge,
    "attacks": make_attacks,
    "pitch": make_pitch,
}


def main() -> None:
    parser = command_line(__doc__, PARTS)
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the Debian packages are (default: /)")
    arguments = parser.parse_args()
    parts = {name: partial(make, arguments.root) for name, make in PARTS.items()}
    rebuild(parts, arguments.only, FOLDER, write_card)


def _supervised(name: str) -> dict[str, Any]:
    split, schedule = SCHEDULES[name]
    x, y = split_of(split)
    torch.manual_seed(schedule.seed)
    net = MODELS[name].build()
    seconds = train(net, x, y, schedule, SPAN)  # type: ignore[arg-type]
    save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
    settings = {"seed": schedule.seed, "epochs": schedule.epochs, "excerpts": len(x), "seconds": round(seconds)}
    sizes = {"parameters": sum(p.numel() for p in net.parameters())}
    return settings | sizes | {part: _recall(net, *split_of(part)) for part in SHIPPED}


def _recall(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """Share of excerpts that are named rightly: of all, and of each class."""
    right = (read(net, x).argmax(1) == y).double()
    each = {name: float(right[y == label].mean()) for label, name in enumerate(CLASSES)}
    return {"accuracy": float(right.mean()), **each}


def _file(split: str) -> Path:
    return (FOLDER if split in SHIPPED else CHECKPOINTS) / f"{split}.npz"


if __name__ == "__main__":
    main()
