"""What the maps of samples are worth, heat or masks, by those objectives of maps that a sweep asks for.

Random numbers are keyed by the sweep's seed and the example, so all configurations are asked the same; of removed parts
they are those of `Masking.evaluated`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from raysweep.errors import TrialFailed
from raysweep.methods.attribution import Attribution
from raysweep.methods.looking import LOOKING
from raysweep.methods.method import Rows
from raysweep.methods.noise import fresh_uniform
from raysweep.methods.redrawn import check_weights, redraw
from raysweep.objectives.faithfulness import area_under_kept, area_under_lost, unfaithfulness
from raysweep.objectives.localisation import found_boxes, localisation_errors, overlap, pointing_errors
from raysweep.objectives.sparseness import diffuseness
from raysweep.objectives.stability import relative_changes, similarities

if TYPE_CHECKING:
    from raysweep.engine.explainers.rde import MaskExplainer
    from raysweep.engine.showing import Showing

FLIPS, FLIP_DRAWS = 17, 4
"""Points of a flipping curve, from nothing removed to all, and the draws of the fill that each is the mean of."""
PARTS, PART = 64, 0.25
"""Random parts of a sample that faithfulness compares, and the share of the components that each has."""
SHAKES, SHAKE = 10, 0.02
"""Noises that max-sensitivity tries, and the most that they add, in units of the span of the data's numbers."""
REDRAWN = 3
"""Networks with re-drawn weights that randomisation compares with."""

Numbers = dict[str, np.ndarray]


class Maps:
    """The objectives of maps for one explainer's samples.

    Args:
        explainer: whose samples, components and network they are; the sweep's objectives are its workload's.
    """

    def __init__(self, explainer: MaskExplainer) -> None:
        self.explainer, self.workload = explainer, explainer.workload
        self.asked = tuple(one.name for one in self.workload.spec.objectives)
        self._everything: float | None = None
        self._strangers: list[Any] | None = None

    def check(self) -> None:
        """Refuse what an objective could not be computed with.

        Raises:
            InputError: no true boxes, or no weights to draw again.
        """
        _ = self.workload.boxes
        if "randomisation" in self.asked:
            check_weights(self.workload.classifier.module, key="models.classifier")

    def measured(
        self, show: Showing, heat: Tensor, worth: Tensor, example: Tensor, values: Mapping[str, float]
    ) -> tuple[Numbers, Numbers]:
        """Numbers [N] by name, objectives among them, and tensors [N, ...] that show where they come from.

        Args:
            heat: what each element of the samples is worth, [N, *shape].
            worth: what each component is worth, [N, C].
            example: of each map, int64 [N].
            values: the configuration's, with the defaults of the method.
        """
        numbers, tensors = dict[str, np.ndarray](), dict[str, np.ndarray]()
        if "localisation_error" in self.asked:
            threshold = values.get("threshold", LOOKING["localisation_error"]["threshold"].default)
            assert threshold is not None
            boxes = show.batched(partial(found_boxes, threshold=threshold), heat)
            share = overlap(torch.from_numpy(boxes), self._true(example))
            numbers |= {"localisation_error": localisation_errors(share).numpy(), "overlap": share.numpy()}
            tensors["found_box"] = boxes.astype(np.int64)
        if "pointing_error" in self.asked:
            rows = {"heat": heat, "true": self._true(example)}
            numbers["pointing_error"] = show.batched(lambda row: pointing_errors(**row), rows)
        if self.workload.boxes is not None:
            tensors["box"] = self._true(example).numpy()
        if "diffuseness" in self.asked:
            numbers["diffuseness"] = show.batched(diffuseness, heat)
        found = {name: measure(self, show, worth, example) for name, measure in _REMOVING.items() if name in self.asked}
        found |= {name: measure(self, show, example, values) for name, measure in _AGAIN.items() if name in self.asked}
        return numbers | found, tensors

    def _true(self, example: Tensor) -> Tensor:
        """The true boxes of examples [N], int64 [N, 4]."""
        assert self.workload.boxes is not None
        explained = self.explainer.explained
        chosen = self.explainer.chosen[explained.first[example % len(explained.first)].numpy()]
        return torch.from_numpy(self.workload.boxes[chosen].astype(np.int64))

    def _morf(self, show: Showing, worth: Tensor, example: Tensor) -> np.ndarray:
        drops = torch.from_numpy(self._flipped(show, worth, example, most_first=True))
        return area_under_kept(drops, self._scale(show)).numpy()

    def _lerf(self, show: Showing, worth: Tensor, example: Tensor) -> np.ndarray:
        drops = torch.from_numpy(self._flipped(show, worth, example, most_first=False))
        return area_under_lost(drops, self._scale(show)).numpy()

    def _flipped(self, show: Showing, worth: Tensor, example: Tensor, most_first: bool) -> np.ndarray:
        """Φ(x) − Φ(z), [N, FLIPS], when ever more components are removed by their worth, from none to all."""
        masking, seed = show.method.masking, self.workload.spec.seed
        explained = masking.explained

        def dropped(row: dict[str, Tensor]) -> Tensor:
            sample = explained.first[row["example"] % len(explained.first)]
            curve = []
            for share in np.linspace(0, 1, FLIPS):
                removed = masking.largest(row["worth"], sample, float(share if most_first else 1 - share))
                mask = 1 - removed if most_first else removed
                draws = [masking.dropped(mask, row["example"], seed, draw) for draw in range(FLIP_DRAWS)]
                curve.append(torch.stack(draws).mean(dim=0))
            return torch.stack(curve, dim=1)

        return show.batched(dropped, {"worth": worth.to(masking.dtype), "example": example})

    def _scale(self, show: Showing) -> float:
        """What removing everything changes the score by, mean over all examples of the sweep.

        Raises:
            TrialFailed: nothing, so that there is no score to lose.
        """
        if self._everything is None:
            masking, seed = show.method.masking, self.workload.spec.seed
            example = torch.arange(len(self.explainer.explained.first))

            def dropped(example: Tensor) -> Tensor:
                nothing = torch.zeros(len(example), masking.components.count, dtype=masking.dtype, device=show.device)
                draws = [masking.dropped(nothing, example, seed, draw) for draw in range(FLIP_DRAWS)]
                return torch.stack(draws).mean(dim=0)

            self._everything = float(np.abs(show.batched(dropped, example)).mean())
        if self._everything == 0:
            raise TrialFailed(
                "flipping measures nothing: the fill in place of all components leaves every score as it is"
            )
        return self._everything

    def _parts(self, show: Showing, worth: Tensor, example: Tensor) -> np.ndarray:
        """Unfaithfulness, of the same random parts in every configuration."""
        masking, seed = show.method.masking, self.workload.spec.seed
        explained = masking.explained

        def compared(row: dict[str, Tensor]) -> Tensor:
            example = row["example"]
            sample = explained.first[example % len(explained.first)]
            heat, drop = [], []
            for index in range(PARTS):
                key = (torch.full_like(example, seed), example, torch.full_like(example, index))
                drawn = fresh_uniform(key, row["worth"].shape[1], stream="part").to(masking.dtype)
                part = masking.largest(drawn, sample, PART, least=1)
                heat.append((row["worth"] * part).double().sum(dim=1))
                drop.append(masking.dropped(1 - part, example, seed, index))
            return unfaithfulness(torch.stack(heat, dim=1), torch.stack(drop, dim=1))

        return show.batched(compared, {"worth": worth.to(masking.dtype), "example": example})

    def _shaken(self, show: Showing, example: Tensor, values: Mapping[str, float]) -> np.ndarray:
        """Max-sensitivity; noise is uniform, and shaken samples stay between the data's least and greatest number."""
        data, seed = self.workload.data.x, self.workload.spec.seed
        low, high = float(data.min()), float(data.max())

        def changed(row: dict[str, Tensor]) -> Tensor:
            x, example, made = row["x"], row["example"], partial(self._heat, show.method, values, row)
            others = []
            for index in range(SHAKES):
                key = (torch.full_like(example, seed), example, torch.full_like(example, index))
                drawn = fresh_uniform(key, x[0].numel(), stream="shake").to(x).view_as(x)
                others.append(made((x + SHAKE * (high - low) * (2 * drawn - 1)).clamp(low, high)))
            return relative_changes(made(x), torch.stack(others, dim=1))

        return show.batched(changed, self._samples(example))

    def _redrawn(self, show: Showing, example: Tensor, values: Mapping[str, float]) -> np.ndarray:
        """Randomisation, with the same re-drawn networks in every configuration."""
        if self._strangers is None:
            seed, module, method = self.workload.spec.seed, self.workload.classifier.module, show.method
            dtype, build = method.masking.network_dtype, self.explainer.explaining
            self._strangers = [build(redraw(module, seed, draw), show.device, dtype) for draw in range(REDRAWN)]
        strangers = self._strangers

        def compared(row: dict[str, Tensor]) -> Tensor:
            others = [self._heat(stranger, values, row, row["x"]) for stranger in strangers]
            return similarities(self._heat(show.method, values, row, row["x"]), torch.stack(others, dim=1))

        return show.batched(compared, self._samples(example))

    def _samples(self, example: Tensor) -> dict[str, Tensor]:
        explained = self.explainer.explained
        sample = explained.first[example % len(explained.first)]
        assert explained.unit is not None
        return {"x": explained.x[sample], "unit": explained.unit[sample], "example": example}

    def _heat(self, method: Any, values: Mapping[str, float], row: dict[str, Tensor], x: Tensor) -> Tensor:
        """The maps [B, *shape] that an attribution makes of inputs [B, *shape] for the row's units."""
        assert isinstance(method, Attribution)
        zero = torch.zeros_like(row["example"])
        own = {name: torch.full_like(zero, value, dtype=method.dtype) for name, value in values.items()}
        rows = Rows(zero + self.workload.spec.seed, row["example"], zero, zero, own)
        with torch.enable_grad():
            heat, _ = method.heat(x.to(method.masking.network_dtype), row["unit"], rows)
        return heat.detach()


_REMOVING: dict[str, Callable[[Maps, Showing, Tensor, Tensor], np.ndarray]] = {
    "flipping_morf": Maps._morf,
    "flipping_lerf": Maps._lerf,
    "unfaithfulness": Maps._parts,
}
"""Objectives that remove components by their worth."""
_AGAIN: dict[str, Callable[[Maps, Showing, Tensor, Mapping[str, float]], np.ndarray]] = {
    "max_sensitivity": Maps._shaken,
    "randomisation": Maps._redrawn,
}
"""Objectives that have maps made again."""
