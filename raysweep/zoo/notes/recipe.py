"""Rebuild everything in this folder: `python -m raysweep.zoo.notes.recipe [--only PART]`, about 20 minutes on one core.

It needs `pip install 'raysweep[recipes]'` and, on Debian, `apt install timgm6mb-soundfont fluidr3mono-gm-soundfont
musescore-general-soundfont-small`. Notes and the inpainter's training are kept in `checkpoints/` and continued when
interrupted; figures.json keeps what each part measured, so parts may be rebuilt alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.data.audio import write_wav
from raysweep.data.spectrum import NOTE
from raysweep.zoo import inpainting, obfuscations
from raysweep.zoo.notes import FOLDER, MODELS
from raysweep.zoo.notes.card import draw_obfuscations, write_card
from raysweep.zoo.notes.evaluation import multiply_adds, recall, without_magnitude, without_phase
from raysweep.zoo.notes.networks import BINS, CLASSES, Critic, Inpainter
from raysweep.zoo.notes.render import SPLITS, labels, notes, play, spectra
from raysweep.zoo.notes.supervised import Schedule, accuracy, train
from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights

CHECKPOINTS = FOLDER / "checkpoints"
SHIPPED, SOUNDS = 2000, 160  # test notes in test.npz, and those of which it holds the sound
SCHEDULES = {
    "classifier": ("train", Schedule(seed=41, epochs=16)),
    "judge": ("judge", Schedule(seed=42, epochs=24)),
}
INPAINTING = inpainting.Settings(
    seed=43, steps=3500, cells=(1, 4, 16, 64, BINS), lr_critic=8e-4, resemblance=2.0, diversity=5.0
)
CELLS = {1: "the bins", 16: "bands of 16"}  # of the card's masks; the training meets other bands
REPORT_SEED = 6


def make_data() -> dict[str, Any]:
    """Render every split."""
    return {name: len(split_of(name)[1]) for name in SPLITS}


def make_classifier() -> dict[str, Any]:
    return _supervised("classifier")


def make_judge() -> dict[str, Any]:
    return _supervised("judge")


def make_test() -> dict[str, Any]:
    """The first test notes, the sound of the very first, and one of each family to listen to."""
    x, y = split_of("test")
    waves = [np.round(play(note) * 32767).astype(np.int16) for note in notes(SPLITS["test"])[:SOUNDS]]
    part = FOLDER / "test.part.npz"
    np.savez_compressed(
        part, x=x[:SHIPPED].numpy(), y=y[:SHIPPED].numpy(), classes=np.array(CLASSES), waves=np.stack(waves)
    )
    part.replace(FOLDER / "test.npz")
    write_wav(FOLDER / "notes.wav", np.concatenate(waves[: len(CLASSES)]) / 32767, NOTE.sample_rate)
    return {"notes": SHIPPED, "per_class": y[:SHIPPED].bincount().tolist(), "sounds": SOUNDS}


def make_inpainter() -> dict[str, Any]:
    training = inpainting.Training(INPAINTING, Inpainter, Critic)
    file = CHECKPOINTS / "inpainter.pt"
    if file.is_file():
        training.load(file)
    x, y = split_of("train")
    training.run(x, y, file)
    save_weights(training.averaged.state_dict(), FOLDER / "inpainter.safetensors")
    file.unlink()
    example = torch.zeros(1, 2, BINS)
    return {
        "seed": INPAINTING.seed,
        "steps": INPAINTING.steps,
        "batch": INPAINTING.batch,
        "notes": len(x),
        "seconds": round(training.seconds),
    } | _size(loaded(MODELS["inpainter"]), example, example, example)


def make_obfuscations() -> dict[str, Any]:
    """Measure the inpainter on test notes, beside simpler fills, and draw what it makes of some."""
    x, y = split_of("test")
    real, others = x[:1000].float(), x[SHIPPED:].float()
    fills = obfuscations.fills(loaded(MODELS["inpainter"]), split_of("train")[0])
    masks = obfuscations.trial_masks(len(real), (2, BINS), CELLS, REPORT_SEED)
    for row, name in enumerate(("the magnitude", "the phase")):
        masks[name] = torch.zeros(real.shape)
        masks[name][:, row] = 1
    draw_obfuscations(fills["inpainter"], real, y, masks, FOLDER / "obfuscations.png")
    return obfuscations.distances(loaded(MODELS["judge"]).features, fills, real, others, masks, REPORT_SEED) | {
        "torch": torch.__version__
    }


def split_of(name: str) -> tuple[Tensor, Tensor]:
    """A split's spectra [N, 2, 256] float16 and classes [N], rendered if need be."""
    split = SPLITS[name]
    return torch.from_numpy(spectra(split, CHECKPOINTS / "notes")), torch.from_numpy(labels(split))


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "data": make_data,
    "classifier": make_classifier,
    "judge": make_judge,
    "test": make_test,
    "inpainter": make_inpainter,
    "obfuscations": make_obfuscations,
}


def main() -> None:
    CHECKPOINTS.mkdir(exist_ok=True)
    rebuild(PARTS, command_line(__doc__, PARTS).parse_args().only, FOLDER, write_card)


def _supervised(name: str) -> dict[str, Any]:
    split, schedule = SCHEDULES[name]
    x, y = split_of(split)
    torch.manual_seed(schedule.seed)
    net = MODELS[name].build()
    seconds = train(net, x, y, schedule)
    save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
    tried = {name: split_of(name) for name in ("validation", "test", "soundfont")}
    settings = {"seed": schedule.seed, "epochs": schedule.epochs, "notes": len(x), "seconds": round(seconds)}
    return (
        settings
        | _size(net, torch.zeros(1, 2, BINS))
        | {name: accuracy(net, *data) for name, data in tried.items()}
        | {
            "without_phase": without_phase(net, *tried["test"], REPORT_SEED),
            "without_magnitude": without_magnitude(net, *tried["test"]),
            "recall": {name: recall(net, *tried[name]) for name in ("test", "soundfont")},
        }
    )


def _size(net: nn.Module, *example: Tensor) -> dict[str, int]:
    return {"parameters": sum(p.numel() for p in net.parameters()), "multiply_adds": multiply_adds(net, *example)}


if __name__ == "__main__":
    main()
