"""Images a second of guided feature inversion against a script of the authors' structure, on the same network.

    python benchmarks/gfi.py [--images 32] [--slots 16] [--steps 80] [--repeats 3] [--json out.json]

The script explains an image at a time with three passes through the network and a loop over channels in every step, as
the authors' code does; raysweep steps lanes of images. In turn, one thread each; CPU seconds, so that other work on the
machine does not count. Their masks are compared.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import time
from typing import Any

import torch
from common import median, parser_of, table, write_json
from torch import Tensor, nn
from torch.nn import functional

from raysweep.data.load import load_data
from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.methods.blurring import blurred
from raysweep.methods.components import Components, pixels
from raysweep.methods.fills import Constant
from raysweep.methods.gfi import GuidedFeatureInversion
from raysweep.methods.masking import Explained, Masking
from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout

LAYER = "features.8"
VALUES = {"lr": 0.01, "blur": 3.0}
VARIANT: dict[str, Any] = {"norm": "squared", "score": "softmax", "error": "relative"}


def main() -> None:
    parser = parser_of(__doc__)
    for name, default in (("images", 32), ("slots", 16), ("steps", 80), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = load_model(ModelSource("zoo://fashion/classifier"), key="models.classifier", folder=None).module.eval()
    network.requires_grad_(False)
    images = torch.from_numpy(load_data("zoo://fashion/test").x[: given.images])
    unit = network(images).argmax(dim=1)
    found: dict[str, list[float]] = {"raysweep": [], "script": []}
    masks: dict[str, Tensor] = {}
    for _ in range(given.repeats):
        for name, run in (("raysweep", together), ("script", one_by_one)):
            began = time.process_time()
            masks[name] = run(network, images, unit, given.steps, given.slots)
            found[name].append(len(images) / (time.process_time() - began))
        write_json(given.json, {"images_a_second": found})
    rows = [[name, median(each), median(each) / median(found["script"]), each] for name, each in found.items()]
    print(table(["", "images a CPU second", "of the script's", "each"], rows))
    apart = (masks["raysweep"] - masks["script"]).abs().flatten(1).amax(dim=1)
    print(f"masks differ by {float(apart.median()):.2g} in the median image, {float(apart.max()):.2g} at most")


def together(network: nn.Module, images: Tensor, unit: Tensor, steps: int, slots: int) -> Tensor:
    """Masks [N, 1, H, W], as a host finds them."""
    ready = prepare(network, torch.float32, keep=(LAYER,), example=images[:2], read=Readout)
    rows, shape = torch.arange(len(images)), tuple(images.shape[1:])
    explained = Explained(images, rows, torch.ones_like(rows), unit)
    masking = Masking(Readout(ready), Constant(torch.zeros(())), explained, Components(pixels(shape), shape))
    method = GuidedFeatureInversion(masking, [LAYER], [LAYER], **VARIANT)
    outcomes: list[Any] = []
    engine = Engine([method], slots)
    engine.advance("bench", method.complete(VALUES), 0, range(len(images)), steps, outcomes.append)
    engine.run()
    return kept(outcomes[0])["heat"]


def one_by_one(network: nn.Module, images: Tensor, unit: Tensor, steps: int, slots: int) -> Tensor:
    """The same masks, as the authors' script finds them."""
    values = GuidedFeatureInversion.complete(VALUES)
    return torch.stack([script(network, x[None], int(c), steps, values) for x, c in zip(images, unit, strict=True)])


def script(network: nn.Module, x: Tensor, unit: int, steps: int, values: dict[str, float]) -> Tensor:
    """The mask [1, H, W] of one image."""
    acts: list[Tensor] = []

    def features(z: Tensor) -> Tensor:
        acts.clear()
        network(z)
        return acts[0]

    hook = network.get_submodule(LAYER).register_forward_hook(lambda module, inputs, output: acts.append(output))
    hidden = blurred(x, torch.tensor([values["blur"]]))
    wanted = features(x).detach()
    weights = torch.full((wanted.shape[1],), values["initial_weight"], requires_grad=True)
    adam = torch.optim.Adam([weights], lr=values["lr"])
    for step in range(steps):
        mask = weights[0] * wanted[0, 0]
        for channel in range(1, len(weights)):
            mask = mask + weights[channel] * wanted[0, channel]
        mask = functional.interpolate(mask[None, None], size=x.shape[2:], mode="bilinear", align_corners=True)
        mask = (mask - mask.min()) / mask.max()
        shown, rest = x * mask + hidden * (1 - mask), x * (1 - mask) + hidden * mask
        error = (features(shown) - wanted).square().sum() / wanted.square().sum()
        norm = weights.square().sum()
        kept_score, background = network(shown).softmax(dim=1)[0, unit], network(rest).softmax(dim=1)[0, unit]
        if step < values["inversion_steps"]:
            loss = error + values["inversion_norm_weight"] * norm
        else:
            loss = -kept_score + values["background_weight"] * background + values["norm_weight"] * norm
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            weights.clamp_(min=0)
        if (step + 1) % int(values["halving"]) == 0:
            adam.param_groups[0]["lr"] *= 0.5
    hook.remove()
    return mask[0].detach()


if __name__ == "__main__":
    main()
