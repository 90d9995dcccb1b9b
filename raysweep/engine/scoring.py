"""A trial's milestone as numbers: its objectives with intervals, what the judge says, and means over its rows.

The real data's side (the reference) is computed once per sweep and kept in the sweep's folder. The file's name is a
hash of all that it depends on, so that whoever finds it may use it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysweep.engine.explainers import Found
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.showing import Showing
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import COMPARE_FEATURES, COMPARE_TOGETHER, Workload
from raysweep.errors import TrialFailed
from raysweep.methods.method import State
from raysweep.models.readout import Readout
from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference, score_frechet
from raysweep.objectives.kid import KernelReference, score_kid, score_kid_together
from raysweep.objectives.mean import score_mean
from raysweep.objectives.per_class import score_classes, score_frechet_together
from raysweep.objectives.recognition import score_recognition
from raysweep.objectives.response import reference_responses, score_response
from raysweep.objectives.score import Score
from raysweep.whole_files import whole_once

KID_REFERENCE = 2000
"""Real examples that KID compares with, at most: its cost is their square."""
PATIENCE = 1.0
"""Seconds between laps while another thread scores."""


@dataclass(frozen=True)
class Scored:
    """What a milestone is worth, and the tensors that show it."""

    objectives: dict[str, Score]
    metrics: dict[str, float]
    tensors: dict[str, np.ndarray]


class Scorer:
    """Scores milestones of one workload, never below float32. Safe to call from several threads; one works at a time.

    Args:
        slots: rows of a batch.
        folder: the sweep's, for the reference.
        lap: is called after each batch, and now and then while another thread scores.
    """

    def __init__(
        self,
        workload: Workload,
        slots: int,
        device: torch.device,
        folder: Path,
        lap: Callable[[], None] = lambda: None,
    ) -> None:
        self.workload, self.slots, self.device, self._lap = workload, slots, device, lap
        self._show = Showing(workload, slots, device, lap)
        self._lock = threading.Lock()
        self._resamples: dict[int, np.ndarray] = {}
        self._judge = None
        if workload.judge is not None and workload.judged_unit is not None:
            self._judge = Readout(workload.judge.module.to(device), None, None, key="models.judge")
        self._witnesses = {name: (read.to(device), unit) for name, (read, unit) in workload.witnessed.items()}
        self._features = {
            one.name: workload.features(one.name).to(device)
            for one in workload.spec.objectives
            if one.name in COMPARE_FEATURES
        }
        self._fitted = [one.name for one in workload.spec.objectives]
        if workload.judges_features:
            self._features["seen_fd"] = workload.judge_features().to(device)
            self._fitted.append("seen_fd")
        self._reference = self._load_reference(folder)

    def score(self, state: State, values: dict[str, float]) -> Scored:
        """Score one trial's rows where they stand: all N, or the first m of them; `values` are its hyper-parameters'.

        The reference is the one for N whatever m is.

        Raises:
            TrialFailed: an explanation or a score is not finite.
        """
        with self._alone():
            found = self._show.found(kept(state), values)
            if not np.isfinite(found.explanation).all():
                raise TrialFailed("the explanations are not finite")
            indices = self._indices(len(found.explanation))
            classes = {label: self._of_class(label, found, indices) for label in self._compared(found)}
            objectives = {one.name: self._objective(one.name, found, indices, classes) for one in self._specs}
            for name, score in objectives.items():
                if not np.isfinite([score.value, score.low, score.high]).all():
                    raise TrialFailed(f"{name} is {score.value}, with the interval {score.low} to {score.high}")
            metrics = {name: float(numbers.mean()) for name, numbers in found.numbers.items() if name not in objectives}
            metrics |= self._recognition(found, indices)
            metrics |= self._by_class(classes)
            metrics |= self._witnessed(found, indices)
        tensors = {"explanation": found.explanation.astype(np.float32), **found.tensors}
        tensors |= {f"replicates.{name}": score.replicates for name, score in objectives.items()}
        return Scored(objectives, metrics, tensors)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        while not self._lock.acquire(timeout=PATIENCE):
            self._lap()
        try:
            yield
        finally:
            self._lock.release()

    @property
    def _specs(self) -> Iterable[Any]:
        return self.workload.spec.objectives

    @property
    def _gan(self) -> GanExplainer:
        assert isinstance(self.workload.explainer, GanExplainer)
        return self.workload.explainer

    def _indices(self, rows: int) -> np.ndarray:
        """The resamples of so many examples, shared by all trials."""
        if rows not in self._resamples:
            self._resamples[rows] = resamples(self.workload.spec.seed, rows)
        return self._resamples[rows]

    def _objective(self, name: str, found: Found, indices: np.ndarray, classes: dict[int, Score]) -> Score:
        if name == "response_fd":
            return score_response(found.numbers["response"], Reference.from_arrays(self._part(name)), indices)
        if name not in COMPARE_FEATURES:
            return score_mean(found.numbers[name], indices)
        if name == "seen_fd":
            return score_classes([classes[label] for label in self._gan.seen])
        part = self._part(name)
        if name in COMPARE_TOGETHER:
            each = [self._featured(name, found.classes[label]) for label in self._gan.seen]
            if name == "overall_kid":
                return score_kid_together(each, _kernels(part), indices)
            return score_frechet_together(each, Reference.from_arrays(part), indices)
        features = self._featured(name, found.explanation)
        if name == "kid":
            return score_kid(features, _kernels(part), indices)
        return score_frechet(features, Reference.from_arrays(part), indices)

    def _featured(self, name: str, samples: np.ndarray) -> np.ndarray:
        """Samples in the features of an objective, [N, D]."""
        return self._show.batched(self._features[name], torch.from_numpy(samples))

    def _recognition(self, found: Found, indices: np.ndarray) -> dict[str, float]:
        """How often the judge sees what was asked for, and each class in the samples that were made of it."""
        if self._judge is None or self.workload.judged_unit is None:
            return {}
        logits = self._show.batched(self._judge, torch.from_numpy(found.explanation))
        direction: Any = self.workload.spec.direction
        score = score_recognition(logits, self.workload.judged_unit, indices, direction)
        asked = _bounded("recognition", score)
        metrics = dict(asked)
        for label, unit in self.workload.judged_classes.items():
            if label in found.classes:
                says = self._says(self._judge, unit, indices, found.classes[label])
                metrics |= _bounded(f"recognition.{self.workload.data.classes[label]}", says)
        return metrics | asked  # also where a class is called low, or high

    def _witnessed(self, found: Found, indices: np.ndarray) -> dict[str, float]:
        """What the witnesses say of the explanations, with its interval, and of every class that was made."""
        metrics = dict[str, float]()
        for name, (witness, unit) in self._witnesses.items():
            says = partial(self._says, witness, unit, indices)
            for label, images in found.classes.items():
                metrics[f"witness.{name}.{self.workload.data.classes[label]}"] = says(images).value
            metrics |= _bounded(f"witness.{name}", says(found.explanation))
        return metrics

    def _says(self, witness: Readout, unit: int, indices: np.ndarray, samples: np.ndarray) -> Score:
        return score_recognition(self._show.batched(witness, torch.from_numpy(samples)), unit, indices)

    def _of_class(self, label: int, found: Found, indices: np.ndarray) -> Score:
        """The distance of a class's samples to real ones, in the features of `seen_fd`."""
        features = self._featured("seen_fd", found.classes[label])
        return score_frechet(features, Reference.from_arrays(self._part(f"seen_fd/{label}")), indices)

    def _compared(self, found: Found) -> Iterable[int]:
        """Classes of which there are samples, and features to compare them in."""
        return found.classes if "seen_fd" in self._features else ()

    def _by_class(self, classes: dict[int, Score]) -> dict[str, float]:
        """Every class's distance; the target's is recorded, and chooses nothing."""
        names, metrics = self.workload.data.classes, dict[str, float]()
        for label, score in classes.items():
            metrics[f"fd.{names[label]}"] = score.value
            if label == self._gan.target:
                metrics |= _bounded("target_fd", score)
        return metrics

    def _load_reference(self, folder: Path) -> dict[str, np.ndarray]:
        """The reference of every objective, from the sweep's folder or, the first time, from the data.

        Of hosts that start together the first to finish writes it, and all of them use what that one wrote.
        """
        path = folder / f"reference-{self._reference_key()}.npz"
        if not path.exists():
            fitted = {name: self._fit(name) for name in self._fitted}
            arrays: dict[str, Any] = {f"{name}/{k}": v for name, found in fitted.items() for k, v in found.items()}
            with whole_once(path) as partial, partial.open("wb") as file:
                np.savez(file, **arrays)
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)

    def _reference_key(self) -> str:
        spec = self.workload.spec
        depends_on = {
            "identity": self.workload.identity,
            "target": [spec.target, spec.layer, spec.unit, spec.each, spec.direction],
            "objectives": [[one.name, one.layer, one.reference] for one in self._specs],
            "examples": spec.examples,
            "numerics": [spec.scoring_precision, self.slots, self.device.type],
            "kid": KID_REFERENCE,
        }
        if any(one.name in COMPARE_TOGETHER for one in self._specs):
            depends_on["seen"] = self._gan.seen
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]

    def _fit(self, name: str) -> dict[str, np.ndarray]:
        spec, real = self.workload.spec, self._real(name)
        data = torch.from_numpy(real)
        if name == "response_fd":
            direction: Any = spec.direction
            responses = self._show.batched(self._show.method.response, data)
            return Reference.fit(reference_responses(responses, spec.examples, direction)).to_arrays()
        if name not in COMPARE_FEATURES:
            return {}
        if name == "seen_fd":
            labels = range(len(self.workload.data.classes))
            fitted = {label: self._reference_of(name, self._gan.of_class(label)) for label in labels}
            return {f"{label}/{key}": value for label, found in fitted.items() for key, value in found.items()}
        if name == "overall_kid":
            each = self._gan.together(most=KID_REFERENCE // len(self._gan.seen))
            return asdict(KernelReference.fit_together([self._featured(name, one) for one in each]))
        if name == "kid":
            pick = np.random.default_rng(0).permutation(len(data))[:KID_REFERENCE]
            return asdict(KernelReference.fit(self._show.batched(self._features[name], data[np.sort(pick)])))
        return self._reference_of(name, real)

    def _real(self, name: str) -> np.ndarray:
        """The samples that an objective, or what is measured beside them, compares with."""
        if name in COMPARE_TOGETHER:
            return np.concatenate(self._gan.together())
        named = any(one.name == name for one in self._specs)
        return self.workload.real(name) if named else self.workload.explainer.real

    def _reference_of(self, name: str, real: np.ndarray) -> dict[str, np.ndarray]:
        return Reference.fit(self._show.batched(self._features[name], torch.from_numpy(real))).to_arrays()

    def _part(self, name: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(f"{name}/"): v for key, v in self._reference.items() if key.startswith(f"{name}/")}


def _bounded(name: str, score: Score) -> dict[str, float]:
    """A score as metrics, with its interval."""
    return {name: score.value, f"{name}.low": score.low, f"{name}.high": score.high}


def _kernels(part: dict[str, np.ndarray]) -> KernelReference:
    return KernelReference(part["features"], float(part["within"]))
