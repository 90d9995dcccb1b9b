"""Generators that are trained in a sweep: real images without the target class, and the classifiers that are probed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.data import Dataset
from raysweep.data.dataset import class_unit
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.engine.explainers.trained import (
    check_generator,
    check_names,
    check_unseen,
    names_of,
    read_trained,
)
from raysweep.engine.workload_spec import classifier_key
from raysweep.errors import InputError
from raysweep.methods import METHODS, Method
from raysweep.methods.gan import GanMethod, RealImages
from raysweep.models.biggan import check_images
from raysweep.models.fit import check_data_fit, check_gradient
from raysweep.models.independence import check_rows_independent
from raysweep.models.prepare import beside, prepare
from raysweep.models.readout import Readout
from raysweep.models.squashed import check_unsquashed

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing
    from raysweep.engine.workload import Workload

GENERATOR = ("generator", "shape", "embedding")
"""What makes images again, of what a row has kept."""
WINNER = (*GENERATOR, "unseen", "class_names")
"""What is written of a winner: that, which classes its generator was never shown, and the names of all."""
SHEET = 12
"""Images of each class that are kept for people."""


class GanExplainer(Explainer):
    """A generator of all classes that was shown images of all but one."""

    batch = 50

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._on_device: dict[torch.device, RealImages] = {}
        self._prepared: dict[tuple[torch.device, torch.dtype], list[nn.Module]] = {}

    @property
    def example(self) -> Tensor:
        """Two real samples."""
        return torch.from_numpy(self.images.x[:2])

    @property
    def stepping(self) -> dict[str, Any]:
        """The images, the class that they are shown without, and what is probed."""
        classifiers = [model.fingerprint for model in self.workload.classifiers.values()]
        found = {"images": self.images.fingerprint, "target": self.target, "classifiers": classifiers}
        if self.trained is not None:
            found["trained"] = hashlib.sha256(self.trained["generator"].numpy().tobytes()).hexdigest()
        return found

    @cached_property
    def trained(self) -> dict[str, Tensor] | None:
        """The generator that the method searches in, as another sweep has kept it; None where it trains its own."""
        if self._trained_file is None:
            return None
        return {part: self._trained_file[part] for part in ("generator", "shape")}

    @cached_property
    def _trained_file(self) -> dict[str, Tensor] | None:
        name = self.workload.spec.trained
        return None if name is None else read_trained(name, self.workload.folder)

    @property
    def real(self) -> np.ndarray:
        """Real samples of the target class: who compares with these looks at what the generator was not shown."""
        return self.of_class(self.target)

    def of_class(self, label: int) -> np.ndarray:
        """Real samples of a class, [M, *shape]."""
        data = self.workload.data
        return data.x[data.y == label]

    def together(self, most: int | None = None) -> list[np.ndarray]:
        """Real samples of each class that the images show: as many as the rarest has, at most so many, drawn once."""
        each = [self.of_class(label) for label in self.seen]
        count = min(most or len(each[0]), *map(len, each))
        return [one[np.sort(np.random.default_rng(0).permutation(len(one))[:count])] for one in each]

    @property
    def images(self) -> Dataset:
        """What the discriminator compares with, target class and all; the method leaves that out."""
        return self.workload.images

    @cached_property
    def _seen_images(self) -> np.ndarray:
        """Which images the method shows, bool [N]."""
        assert self.images.y is not None
        return np.isin(self.images.y, self.seen)

    @cached_property
    def span(self) -> tuple[float, float]:
        """The least and the greatest number of what is made: of images 0 and 1, else what the images shown have."""
        shown = self.images.x[self._seen_images]
        return (0.0, 1.0) if self.images.media == "image" else (float(shown.min()), float(shown.max()))

    def _check_images(self) -> None:
        found, data = self.images, self.workload.data
        check_images(tuple(found.x.shape[1:]), "images.source")
        for key, one in (("images.source", found), ("data.source", data)):
            if one.y is None:
                raise InputError("must have labels: the generator makes classes", key=key)
        twice = sorted({name for name in found.classes if found.classes.count(name) > 1})
        if twice:
            rule = "must have classes of different names, for what is measured of each goes by its name"
            raise InputError(rule, key="images.source", value=", ".join(twice))
        if found.classes != data.classes:
            rule = f"must have the classes of data, {', '.join(data.classes)}"
            hint = "A class without samples has a name too: save them as .npz with the `classes` of data"
            raise InputError(rule, key="images.source", value=", ".join(found.classes), suggestion=hint)
        shows = "every class" if self.target in self.seen else "every class but the target"
        _check_counts(found, self.seen, 1, f"must have samples of {shows}", "images.source")
        every = range(len(data.classes))
        _check_counts(data, every, 2, "must have at least 2 samples of every class, to compare with", "data.source")
        if found.x.shape[1:] != data.x.shape[1:]:
            rule = f"must have samples of the shape of data, {list(data.x.shape[1:])}"
            raise InputError(rule, key="images.source", value=list(found.x.shape[1:]))
        if found.media != data.media:
            rule = f"must be of the medium of data, {data.media}, so that what is made has their range"
            hint = "Bring both to one range; if they are in one, say media for images and data"
            raise InputError(rule, key="images.source", value=found.media, suggestion=hint)
        if found.mel is not None and data.mel is not None and found.mel != data.mel:
            rule = f"must be log-mels that were taken as those of data, {data.mel}"
            raise InputError(rule, key="images.source", value=str(found.mel))
        low, high = self.span
        if low == high:
            rule = "must hold more than one number in the classes that are shown, for what is made has their range"
            raise InputError(rule, key="images.source", value=low)

    @cached_property
    def target(self) -> int:
        """The class that is probed, an index of the data's classes."""
        wanted, names = self.workload.spec.target, self.images.classes
        assert wanted is not None
        return class_unit(wanted, names, len(names), "target.class")

    @cached_property
    def seen(self) -> list[int]:
        """The classes that the images show."""
        shown = METHODS[self.workload.spec.method].shows_target
        return [label for label in range(len(self.images.classes)) if shown or label != self.target]

    def check(self, data: Dataset | None) -> None:
        """Read all classes' scores and pass their gradient back, each row for itself."""
        if data is None:
            return
        self._check_images()
        count = len(self.images.classes)
        for name, model in self.workload.classifiers.items():
            key = classifier_key(name)
            readout = Readout(model.module, key=key)
            found = check_data_fit(data, readout, key="data.source", reader=key)
            if found.shape[1] != count:
                rule = f"must give one score for each of the {count} classes of the images"
                raise InputError(rule, key=key, value=found.shape[1])
            if model.units is not None and tuple(model.units) != self.images.classes:
                rule = f"must know the classes of the images in their order, {', '.join(self.images.classes)}"
                raise InputError(rule, key=key, value=", ".join(model.units))
            check_unsquashed(readout, data, key=key)
            check_rows_independent(readout, self.example, key=key)
            check_gradient(readout, self.example, key=key)
        if self._trained_file is not None:
            assert self.workload.spec.trained is not None
            check_names(self._trained_file, self.workload.spec.trained, self.images.classes)
            check_unseen(self._trained_file, self.workload.spec.trained, self.images.classes, self.target)
            check_generator(self._trained_file, count, tuple(self.images.x.shape[1:]))

    def build(self, device: torch.device, dtype: torch.dtype) -> Method:
        """The method, which shares images and classifiers with those of other lanes."""
        kind: Any = METHODS[self.workload.spec.method]
        given = {} if self.trained is None else {"trained": self.trained}
        probed = self._probed(device, torch.float64 if dtype == torch.float64 else torch.float32)
        method: GanMethod = kind(self._shown(device), probed, self.target, dtype=dtype, **given)
        return method

    def _probed(self, device: torch.device, dtype: torch.dtype) -> list[Readout]:
        """What is probed, for one lane: its weights are once on a device for all."""
        if (device, dtype) not in self._prepared:
            self._prepared[device, dtype] = [
                prepare(model.module, dtype, example=self.example, read=Readout).to(device)
                for model in self.workload.classifiers.values()
            ]
        return [Readout(beside(network)) for network in self._prepared[device, dtype]]

    def _shown(self, device: torch.device) -> RealImages:
        """The images that the method shows, once on a device for all lanes."""
        if device not in self._on_device:
            found, shown = self.images, self._seen_images
            assert found.y is not None
            x, y = torch.from_numpy(found.x[shown]), torch.from_numpy(found.y[shown])
            self._on_device[device] = RealImages(x, y, len(found.classes), *self.span).to(device)
        return self._on_device[device]

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Images of the target class, as many of every other, and what the probed classifier says of the first."""
        method, seed = show.method, self.workload.spec.seed
        generator = method.looked_at(kept)
        examples = torch.arange(self.workload.spec.examples)
        made = {
            label: show.batched(partial(method.images_of, generator, kept, seed, label), examples)
            for label in sorted({*method.made, self.target})
        }
        target = made[self.target]
        logits = show.batched(method.classifiers[int(values.get("classifier", 0))], torch.from_numpy(target))
        loss = np.logaddexp.reduce(logits, axis=1) - logits[:, self.target]
        losses = {name: value.double().numpy() for name, value in kept.items() if name.startswith(LOSSES)}
        numbers = {"classifier_loss": loss, "confidence": np.exp(-loss), **losses}
        tensors = {
            "classes": np.stack([images[:SHEET] for images in made.values()]).astype(np.float32),
            "unseen": np.array([label not in method.seen for label in made]),
            "class_names": names_of(self.images.classes),
            **{name: kept[name].cpu().numpy() for name in GENERATOR if name in kept},
        }
        return Found(target, tensors, numbers, made)


def _check_counts(one: Dataset, labels: Iterable[int], least: int, rule: str, key: str) -> None:
    """Whether there are so many samples of each of some classes."""
    assert one.y is not None
    counts = np.bincount(one.y, minlength=len(one.classes))
    for label in labels:
        if counts[label] < least:
            few = f"{rule}, and has {counts[label] or 'none'} of this one"
            raise InputError(few, key=key, value=one.classes[label])


LOSSES = ("generator.", "discriminator.")
"""How the names of losses that were kept begin."""
