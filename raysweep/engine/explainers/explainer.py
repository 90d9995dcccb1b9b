"""The contract of an explainer: a method made ready for a sweep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from raysweep.data import Dataset
from raysweep.methods import Method

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing
    from raysweep.engine.workload import Workload


@dataclass(frozen=True)
class Found:
    """What N rows found, in full precision.

    Args:
        explanation: what feature distances compare with real samples and the judge looks at, float64 [N, *shape].
        tensors: what else is kept for people, by name, each [N, ...].
        numbers: one number a row by name, [N] each; their means are recorded, and some are objectives.
        classes: of generators of classes as many samples of each, by its index.
    """

    explanation: np.ndarray
    tensors: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    classes: Mapping[int, np.ndarray] = field(default_factory=dict)


class Explainer(ABC):
    """A method with the networks and data of one workload.

    Args:
        workload: what was loaded; only what the method needs of it is looked at.
    """

    batch: int | None = None
    """Samples that are looked at together where they are not the rows of a lane."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    @property
    @abstractmethod
    def example(self) -> Tensor:
        """Two inputs of the classifier such as the rows make, to try networks on, [2, *shape]."""

    @property
    @abstractmethod
    def stepping(self) -> dict[str, Any]:
        """What a row's way depends on beside classifier, method, precision and versions, in plain data."""

    @property
    def real(self) -> np.ndarray:
        """The samples that explanations are compared with, [M, *shape]."""
        return self.workload.data.x

    @property
    def most_steps(self) -> int | None:
        """How many steps of a row do something; None: all that there may be."""
        return None

    @abstractmethod
    def check(self, data: Dataset | None) -> None:
        """Try what every step will do.

        Args:
            data: named in errors about shapes; None where only explaining is wanted, and the data need not be there.

        Raises:
            InputError: names key, rule and value of what does not fit.
        """

    @abstractmethod
    def build(self, device: torch.device, dtype: torch.dtype) -> Method:
        """The method, its networks on the device in this precision."""

    @abstractmethod
    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """What rows are worth, from what they kept and their hyper-parameters' values."""
