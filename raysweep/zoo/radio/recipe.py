"""Rebuild everything in this folder: `python -m raysweep.zoo.radio.recipe [--only PART]`, about an hour on two cores.

Rendering needs `pip install 'raysweep[radio]'` and, on Debian, `apt install libllvm19`. Windows and trainings are kept
in `checkpoints/` and continued when interrupted; figures.json keeps what each part measured, so parts may be rebuilt
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights
from raysweep.zoo.radio import FOLDER, MODELS
from raysweep.zoo.radio.card import draw_samples, write_card
from raysweep.zoo.radio.evaluation import ByDistance, estimate, multiply_adds, rmse, situation
from raysweep.zoo.radio.networks import CHANNELS, CITIES, SIDE
from raysweep.zoo.radio.render import FLOOR, SPLITS, TOP, grey, open_city, render, windows
from raysweep.zoo.radio.scenes import RAYS
from raysweep.zoo.radio.situations import Maps, join
from raysweep.zoo.radio.supervised import Schedule, Training

CHECKPOINTS = FOLDER / "checkpoints"
SCHEDULES = {"phi": Schedule(seed=1, steps=2500, missing=4), "phi_gt": Schedule(seed=2, steps=2500, missing=0)}
MISSING, MEASUREMENTS, TEST_SEED = 2, 100, 3  # of each row of test.npz
COUNTS, REPORT_SEED = (0, 30, 100, 300), 4
SITUATIONS = {"phi": ("phi", MISSING), "phi_whole": ("phi", 0), "phi_gt": ("phi_gt", 0)}  # network, buildings left out
NOISY = 4  # windows of each city that are traced again with other rays


def make_data() -> dict[str, Any]:
    """Render every split, and some windows again with four times the rays: the error that rays alone make."""
    sizes = {name: len(split_of(name)) for name in SPLITS}
    squares = []
    for district in SPLITS["known"] + SPLITS["other"]:
        for index in range(NOISY):
            window, gain = render(district, index)
            finer = open_city(district.city).gain(window.centre, window.angle, window.cell, rays=4 * RAYS)
            error = grey(finer, window.buildings) - grey(gain, window.buildings)
            squares.append(error[window.buildings == 0] ** 2)
    noise = float(np.sqrt(np.concatenate(squares).mean()))
    return sizes | {"floor": FLOOR, "top": TOP, "noise": noise, "noise_windows": len(squares), "rays": RAYS}


def make_phi() -> dict[str, Any]:
    return _trained("phi")


def make_phi_gt() -> dict[str, Any]:
    return _trained("phi_gt")


def make_test() -> dict[str, Any]:
    """The held-out windows, each as Φ sees it, in test.npz."""
    maps = join([split_of("known"), split_of("other")])
    names = [d.city for split in ("known", "other") for d in SPLITS[split] for _ in range(d.windows)]
    x = situation(maps, MISSING, MEASUREMENTS, TEST_SEED)
    part = FOLDER / "test.part.npz"
    np.savez_compressed(
        part,
        x=x.numpy().astype(np.float16),
        y=np.array([CITIES.index(name) for name in names]),
        classes=np.array(CITIES),
        truth=maps.truth.numpy().astype(np.float16),
        buildings=maps.buildings.numpy().astype(np.int16),
        tx=np.argwhere(maps.transmitter.numpy() > 0)[:, 1:],
        city=np.array(names),
    )
    part.replace(FOLDER / "test.npz")
    groups = maps.buildings.flatten(1).amax(dim=1)
    return {
        "windows": len(maps),
        "per_city": {name: names.count(name) for name in CITIES},
        "missing": MISSING,
        "measurements": MEASUREMENTS,
        "buildings": [int(groups.min()), int(groups.median()), int(groups.max())],
        "error": rmse(estimate(loaded(MODELS["phi"]), x), maps),
    }


def make_card() -> dict[str, Any]:
    """Measure both networks in every situation, and draw some windows."""
    trivial = ByDistance.fit(split_of("train"))
    errors: dict[str, Any] = {}
    for name in ("known", "other"):
        maps = split_of(name)
        errors[name] = {"distance": rmse(trivial(maps), maps)}
        for key, (net, missing) in SITUATIONS.items():
            trained = loaded(MODELS[net])
            errors[name][key] = {
                str(count): rmse(estimate(trained, situation(maps, missing, count, REPORT_SEED)), maps)
                for count in COUNTS
            }
    draw_samples(FOLDER / "test.npz", loaded(MODELS["phi"]), loaded(MODELS["phi_gt"]), FOLDER / "samples.png")
    return {"errors": errors, "torch": torch.__version__}


def split_of(name: str) -> Maps:
    """A split's windows, rendered if need be."""
    return join([windows(district, CHECKPOINTS / "windows") for district in SPLITS[name]])


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "data": make_data,
    "phi": make_phi,
    "phi_gt": make_phi_gt,
    "test": make_test,
    "card": make_card,
}


def main() -> None:
    CHECKPOINTS.mkdir(exist_ok=True)
    rebuild(PARTS, command_line(__doc__, PARTS).parse_args().only, FOLDER, write_card)


def _trained(name: str) -> dict[str, Any]:
    schedule = SCHEDULES[name]
    training = Training(schedule, CHECKPOINTS / f"{name}.pt")
    net = training.run(split_of("train"))
    save_weights(net.state_dict(), FOLDER / f"{name}.safetensors")
    return {
        "seed": schedule.seed,
        "steps": schedule.steps,
        "batch": schedule.batch,
        "missing": schedule.missing,
        "measurements": schedule.measurements,
        "seconds": round(training.seconds),
        "parameters": sum(p.numel() for p in net.parameters()),
        "multiply_adds": multiply_adds(net, torch.zeros(1, CHANNELS, SIDE, SIDE)),
    }


if __name__ == "__main__":
    main()
