"""Matching pursuit: a mask that grows, step by step, by the component which lowers the distortion most.

After k steps s has k components; D(s) = ½ E_n[(Φ(x) − Φ(z))²] along the way is a rate–distortion curve. Heiß, Levie,
Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*, 2020 (arXiv:2007.00758), after
Mallat, Zhang, *Matching pursuits with time-frequency dictionaries*, IEEE Transactions on Signal Processing 1993.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Method, Rows, State, Turn, by_row

WIDTH = 16
"""Masks that a row has evaluated in one turn."""


class MatchingPursuit(Method):
    """One mask per row, grown from nothing.

    A step compares the mask as it is and with each component that is left, all under the same noise samples. They are
    evaluated `width` at a time, so it takes as many turns as that needs. A row whose distortion has come down to the
    `tolerance`, or that has no component left, stays as it is.

    Args:
        masking: the samples, and the network that sees them masked.
        width: masks that are evaluated in one turn.
    """

    name = "rde_pursuit"
    needs_samples = True
    hyperparameters = {  # noqa: RUF012
        "tolerance": Bound(0, default=0.0),
        "noise_samples": Bound(1, whole=True, default=16, usual=1),
    }

    def __init__(self, masking: Masking, width: int = WIDTH) -> None:
        self.masking, self.width, self.dtype = masking, width, masking.dtype

    def candidates(self, rows: Rows) -> Tensor:
        """The distortion with nothing chosen, and with each of the first components alone, [B, width]."""
        left = self.masking.components.present(self._first(rows))
        nothing, ones = left.new_zeros(left.shape, dtype=self.dtype), torch.ones_like(rows.example)
        with torch.no_grad():
            return self._tried(nothing, left, ones, rows)[0]

    def begin(self, rows: Rows) -> State:
        """Nothing chosen."""
        importance = torch.zeros(len(rows), self.masking.components.count, dtype=self.dtype)
        return {
            "params": importance,
            "ended": torch.zeros(len(rows), dtype=torch.bool),
            "kept.distortion": importance.new_zeros(len(rows)),
            "kept.trace": importance.new_zeros(len(rows), importance.shape[1] + 1),
        }

    def turns(self, values: Mapping[str, float], steps: int) -> int:
        """Turns that a row takes for so many steps, at most."""
        count, noises = self.masking.components.count, int(self.complete(values)["noise_samples"])
        return sum(-(-(count - chosen + 1) * noises // self.width) for chosen in range(min(steps, count)))

    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """Evaluate the next masks; choose a component once all are known."""
        with torch.no_grad():
            chosen, noises = (state["params"] > 0).to(self.dtype), rows["noise_samples"].long().clamp(min=1)
            left = (chosen == 0) & self.masking.components.present(self._first(rows))
            wanted = torch.where(state["ended"], 0, (left.sum(dim=1) + 1) * noises)
            sums = self._evaluated(chosen, left, noises, wanted, rows)
            if "sums" in partial:
                sums = sums + partial["sums"]
            made = (rows.draw + 1) * self.width >= wanted
            return Turn(self._grown(state, sums / noises[:, None], left, rows), {"sums": sums}, made, None, {})

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """One obfuscation z of each row's sample."""
        return self.masking.shown(kept["mask"], kept["example"], drawn=False)

    def _first(self, rows: Rows) -> Tensor:
        """A sample of each row, for its components."""
        first = self.masking.explained.first
        return first[rows.example % len(first)]

    def _evaluated(self, chosen: Tensor, left: Tensor, noises: Tensor, wanted: Tensor, rows: Rows) -> Tensor:
        """This turn's part of the distortions' sums over noise [B, 1 + C]: as it is, and with each component."""
        found, place, rank = self._tried(chosen, left, noises, rows)
        found = torch.where(rank < wanted[:, None], found, 0.0)
        return found.new_zeros(len(rows), chosen.shape[1] + 1).scatter_add_(1, place, found)

    def _tried(self, chosen: Tensor, left: Tensor, noises: Tensor, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """This turn's distortions [B, width], which masks they are of (0: as it is; 1 + c), and which evaluations.

        Evaluation i of a step is of mask i // n under noise sample i % n. Mask 0 is the chosen one; mask j adds the
        j-th component that is left.
        """
        rank = rows.draw[:, None] * self.width + torch.arange(self.width, device=chosen.device)
        mask_of, noise = rank // noises[:, None], rank % noises[:, None]
        in_order = (~left).to(torch.int8).argsort(dim=1, stable=True)  # those that are left come first
        component = in_order.gather(1, (mask_of - 1).clamp(0, chosen.shape[1] - 1))
        place = torch.where(mask_of > 0, component + 1, 0)
        masks = torch.cat([chosen.new_zeros(len(rows), 1), chosen], dim=1)[:, None].repeat(1, self.width, 1)
        masks = masks.scatter_(2, place[:, :, None], 1.0)[:, :, 1:].flatten(0, 1)
        seed, example, step = (part.repeat_interleave(self.width) for part in (rows.seed, rows.example, rows.step))
        key = (seed, example, step, noise.flatten())
        found = self.masking.distortion(self.masking.explained.sample(example, key), masks, key).view(rank.shape)
        return found, place, rank

    def _grown(self, state: State, distortion: Tensor, left: Tensor, rows: Rows) -> State:
        """The state after a step, by the mean distortions [B, 1 + C] of all masks.

        A component's importance is 1 for the first that was chosen, and 1/C less for each that was chosen before it, C
        the number of components that the sample has.
        """
        before, count = state["params"], state["params"].shape[1]
        size = (before > 0).sum(dim=1, keepdim=True)
        own = size + left.sum(dim=1, keepdim=True)
        now, (lowest, best) = distortion[:, 0], torch.where(left, distortion[:, 1:], torch.inf).min(dim=1)
        ended = state["ended"] | (now <= rows["tolerance"]) | ~left.any(dim=1)
        after = by_row(ended, before, before.scatter(1, best[:, None], (1 - size / own).to(before)))
        reached = torch.where(ended, now, lowest)
        trace = state["kept.trace"].scatter(1, size, now[:, None])
        trace = by_row(ended, trace, trace.scatter(1, (size + 1).clamp(max=count), reached[:, None]))
        return {
            "params": after,
            "ended": ended,
            "kept.trace": by_row(state["ended"], state["kept.trace"], trace),
            "kept.distortion": by_row(state["ended"], state["kept.distortion"], reached),
            "kept.importance": after,
            "kept.mask": (after > 0).to(after),
            "kept.example": rows.example,
        }
