"""Rebuild everything in this folder: `python -m raysweep.zoo.vocal.recipe [--only PART]`, about two hours on one core.

It needs `pip install 'raysweep[recipes]'` and, on Debian, `apt install timgm6mb-soundfont
musescore-general-soundfont-small asterisk-core-sounds-{en,es,fr,it,ru}-wav`. Excerpts and the generator's training are
kept in `checkpoints/` and continued when interrupted; figures.json keeps what each part measured, so parts may be
rebuilt alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights
from raysweep.zoo.vocal import FOLDER, MODELS, adversarial, supervised
from raysweep.zoo.vocal.card import draw_samples, write_card, write_sounds
from raysweep.zoo.vocal.evaluation import distance, multiply_adds, read, recall, sample
from raysweep.zoo.vocal.networks import BANDS, CLASSES, FRAMES, LATENT
from raysweep.zoo.vocal.render import SPLITS, excerpts

CHECKPOINTS = FOLDER / "checkpoints"
SHIPPED = 500  # held-out excerpts in test.npz; the others are the floor's other half
SCHEDULES = {
    "classifier": ("train", supervised.Schedule(seed=11, epochs=8, lr=1e-3)),
    "judge": ("judge", supervised.Schedule(seed=23, epochs=15, lr=3e-3)),
}
GENERATOR = adversarial.Schedule(seed=31, steps=6000)
REPORT_SEED, RECOGNITION = 6, 1000


def make_data() -> dict[str, Any]:
    """Render every split."""
    return {name: len(split_of(name)[1]) for name in SPLITS}


def make_classifier() -> dict[str, Any]:
    return _supervised("classifier")


def make_judge() -> dict[str, Any]:
    return _supervised("judge")


def make_test() -> dict[str, Any]:
    """The first held-out excerpts, in steps of 1/32 (0.27 dB), which halves the file."""
    x, y = split_of("test")
    rounded = torch.round(x[:SHIPPED].float() * 32) / 32
    part = FOLDER / "test.part.npz"
    np.savez_compressed(part, x=rounded.numpy().astype(np.float16), y=y[:SHIPPED].numpy(), classes=np.array(CLASSES))
    part.replace(FOLDER / "test.npz")
    return {"excerpts": SHIPPED, "per_class": y[:SHIPPED].bincount().tolist()} | {
        name: recall(read(loaded(MODELS[name]), rounded), y[:SHIPPED]) for name in SCHEDULES
    }


def make_generator() -> dict[str, Any]:
    generator, seconds = adversarial.train(*split_of("train"), GENERATOR, CHECKPOINTS / "generator.pt")
    save_weights(generator.state_dict(), FOLDER / "generator.safetensors")
    settings = {"seed": GENERATOR.seed, "steps": GENERATOR.steps, "batch": GENERATOR.batch, "seconds": round(seconds)}
    return settings | _size(generator, torch.zeros(1, LATENT))


def make_card() -> dict[str, Any]:
    """Measure the generator against held-out and training excerpts; draw and sound it."""
    judge = loaded(MODELS["judge"])
    (held, y), (seen, _) = split_of("test"), split_of("train")
    order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(REPORT_SEED))
    made = sample(loaded(MODELS["generator"]), RECOGNITION, REPORT_SEED)
    known, new, ours = (read(judge.features, x) for x in (seen[order[: 4 * SHIPPED]], held, made))
    logits = judge.head(ours)[:, 0]
    draw_samples(held[:SHIPPED], made, logits, FOLDER / "samples.png")
    write_sounds(held[int(y.argmax())], made[:4], FOLDER)
    return {
        "n": SHIPPED,
        "held_out": {
            "samples": distance(ours, torch.cat([new[:SHIPPED]] * 2), SHIPPED),
            "training": distance(known, torch.cat([new[:SHIPPED]] * 4), SHIPPED),
            "floor": distance(new[SHIPPED:], new[:SHIPPED], SHIPPED),
        },
        "training": {
            "samples": distance(ours, known, SHIPPED),
            "floor": distance(known[: 2 * SHIPPED], known[2 * SHIPPED :], SHIPPED),
        },
        "samples": RECOGNITION,
        "vocal": float((logits > 0).float().mean()),
        "vocal_by_classifier": float((read(loaded(MODELS["classifier"]), made) > 0).float().mean()),
        "torch": torch.__version__,
    }


def split_of(name: str) -> tuple[Tensor, Tensor]:
    """A split's log-mels [N, 1, 80, 115] float16 and classes [N], rendered if need be."""
    x, y = excerpts(SPLITS[name], CHECKPOINTS / "excerpts")
    return torch.from_numpy(x), torch.from_numpy(y)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "data": make_data,
    "classifier": make_classifier,
    "judge": make_judge,
    "test": make_test,
    "generator": make_generator,
    "card": make_card,
}


def main() -> None:
    CHECKPOINTS.mkdir(exist_ok=True)
    rebuild(PARTS, command_line(__doc__, PARTS).parse_args().only, FOLDER, write_card)


def _supervised(name: str) -> dict[str, Any]:
    split, schedule = SCHEDULES[name]
    x, y = split_of(split)
    held, truth = split_of("test")
    torch.manual_seed(schedule.seed)
    net = MODELS[name].build()
    seconds = supervised.train(net, x, y, schedule)  # type: ignore[arg-type]
    save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
    settings = {"seed": schedule.seed, "epochs": schedule.epochs, "excerpts": len(x), "seconds": round(seconds)}
    return settings | _size(net, torch.zeros(1, 1, BANDS, FRAMES)) | recall(read(net, held), truth)


def _size(net: nn.Module, example: Tensor) -> dict[str, int]:
    return {"parameters": sum(p.numel() for p in net.parameters()), "multiply_adds": multiply_adds(net, example)}


if __name__ == "__main__":
    main()
