"""Tune's trial: a light actor without torch that waits for its host and reports one milestone a step."""

from __future__ import annotations

import json
from typing import Any

from ray import tune

from raysweep.cluster.calling import Advance, advance_somewhere
from raysweep.errors import HostLost


class TrialActor(tune.Trainable):
    """One trial at a time, reused for the next.

    Its config: `session` of its driver, `number`, `key`, `trajectory`, `values`, `milestones` still to be reached (step
    and, where not all are scored, number of examples), `blocks` that the examples are stepped in, steps `via` which
    others may come, and `hosts` by preference.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Start at the first milestone."""
        self._plan = config
        self._next = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Reach the next milestone; the host's answer comes back in JSON, because Tune flattens mappings."""
        plan = self._plan
        step, examples = plan["milestones"][self._next]
        blocks = tuple(end for end in plan["blocks"] if examples is None or end <= examples)
        request = Advance(
            session=plan["session"],
            trial=plan["number"],
            key=plan["key"],
            trajectory=plan["trajectory"],
            values=plan["values"],
            to=step,
            blocks=blocks,
            via=tuple(plan["via"]),
        )
        try:
            host, answer = advance_somewhere(plan["hosts"], request)
        except HostLost as error:
            host, answer = plan["hosts"][0], {"lost": str(error)}
        self._next += 1
        last = self._next >= len(plan["milestones"]) or not answer.keys().isdisjoint(
            ("failed", "lost", "out_of_memory")
        )
        return {"step": step, "examples": examples, "host": host, "answer": json.dumps(answer), "done": last}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Which milestone is next; the rows themselves stay with the host."""
        return {"next": self._next}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Go on after the milestones already reported."""
        self._next = (checkpoint or {}).get("next", 0)
