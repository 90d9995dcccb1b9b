"""Real data as every room sees it: inputs, labels, class names, and a fingerprint of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raysweep.data.waves import check_waves
from raysweep.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from raysweep.data.audio import MelSpec

MEDIA = ("image", "logmel", "spectrum", "radio", "array")
_AS_THEY_ARE = ("spectrum", "radio", "array")  # media without a channel axis to add or to move
CHANNELS = (1, 3)


@dataclass(frozen=True)
class Dataset:
    """Samples, checked: finite, and each label names a class.

    Args:
        x: float32 [N, ...]; images are NCHW in [0, 1], log-mels [N, 1, mels, frames], spectra [N, 2, bins],
            radio maps [N, 4, H, W].
        y: int64 [N], or None when the data has no labels.
        classes: `classes[y]` are the names; empty without labels.
        media: how a sample is shown, one of MEDIA.
        fingerprint: sha256 over x, y and classes, and waves where there are some, as hex.
        waves: the sounds of the first K spectra, int16 [K ≤ N, samples]; None for other media or without.
        mel: how log-mels were taken, so that they can be heard; None for other media, or when the data do not say.
    """

    x: np.ndarray
    y: np.ndarray | None
    classes: tuple[str, ...]
    media: str
    fingerprint: str
    waves: np.ndarray | None = None
    mel: MelSpec | None = None

    @property
    def heard(self) -> int:
        """K, how many of the first samples have a sound."""
        return 0 if self.waves is None else len(self.waves)


def make_dataset(
    x: Any,
    y: Any,
    classes: Sequence[Any] | None,
    waves: Any = None,
    mel: Any = None,
    *,
    media: str | None,
    key: str,
    source: str,
) -> Dataset:
    """Check raw arrays and bring them into the one layout.

    uint8 becomes float32 / 255. Unless `media` is "spectrum", "radio" or "array", [N, H, W] gets a channel axis and a
    last axis of 1 or 3 channels moves to the front when the first cannot be one. Without `media`, x with `mel` is
    "logmel", [N, 1 or 3, H, W] in [0, 1] is an "image", anything else an "array". `waves` count for spectra alone,
    `mel` for log-mels.

    Raises:
        InputError: empty, non-numeric or non-finite x; labels that are not integers, not one per sample, or outside
            the classes; image values outside [0, 1]; waves that are not the sounds of the first spectra; mel of
            another number of bands.
    """
    if media is not None and media not in MEDIA:
        raise InputError("must be a known medium", key=key, value=media, suggestion=did_you_mean(media, MEDIA))
    if media is None and mel is not None:
        media = "logmel"
    x = _layout(_numbers(np.asarray(x), key, source), media)
    media = media or _media_of(x, key)
    low, high = float(x.min()), float(x.max())
    if media == "image" and (low < 0 or high > 1):
        hint = "Rescale them, or say media: array"
        raise InputError("image values must lie in [0, 1]", key=key, value=[low, high], suggestion=hint)
    labels = None if y is None else _labels(np.asarray(y), len(x), key)
    names = _class_names(labels, classes, key)
    sounds = None if waves is None or media != "spectrum" else check_waves(np.asarray(waves), x, key)
    spec = None if mel is None or media != "logmel" else _mel(mel, x, key)
    return Dataset(x, labels, names, media, _fingerprint(x, labels, names, sounds), sounds, spec)


def as_float(x: np.ndarray) -> np.ndarray:
    """uint8 as float32 in [0, 1]; other numbers as float32."""
    scaled = x.astype(np.float32)
    if x.dtype == np.uint8:
        scaled /= 255
    return scaled


def class_units(classes: Sequence[str], names: Sequence[str], outputs: int) -> dict[int, int]:
    """The output for each of `classes`, by its index, that a network has one for; its outputs are called `names`."""
    found = dict[int, int]()
    for label, name in enumerate(classes):
        with suppress(InputError):
            found[label] = class_unit(name, names, outputs, "target.class")
    return found


def class_index(target: str | int, classes: Sequence[str], key: str) -> int:
    """The index of the class that `target` names, or `target` itself when it is a valid index (any, without classes).

    Raises:
        InputError: no such class, a name of several, or an index that is also the name of another class; what to write
            is in the message.
    """
    if isinstance(target, str):
        named = [index for index, name in enumerate(classes) if name == target]
        if len(named) > 1:
            hint = f"Write the index of the one you mean, {' or '.join(map(str, named))}"
            raise InputError("must name one class, not several", key=key, value=target, suggestion=hint)
        if named:
            return named[0]
        hint = did_you_mean(target, classes) if classes else "Neither network nor data name classes; give an index"
        raise InputError("must be one of the classes", key=key, value=target, suggestion=hint)
    if classes and not 0 <= target < len(classes):
        rule = f"must be a class index from 0 to {len(classes) - 1}"
        raise InputError(rule, key=key, value=target, suggestion=f"The classes are {', '.join(classes)}")
    if str(target) in classes and classes[target] != str(target):
        rule = f"must not be both the index of class '{classes[target]}' and the name of another class"
        hint = f"Write the name you mean in quotes, '{classes[target]}' or '{target}'"
        raise InputError(rule, key=key, value=target, suggestion=hint)
    return int(target)


def class_unit(target: str | int, classes: Sequence[str], outputs: int, key: str) -> int:
    """The output unit, of a network with so many, that stands for the class `target`, a name or an index.

    The classes are those of the outputs when there are as many. One output stands for the second of two classes. Any
    other number of classes says nothing about the outputs, and `target` must be the index of one.

    Raises:
        InputError: no such class or output; or the first of two classes, for which one output does not stand.
    """
    if outputs == 1 and len(classes) == 2:
        if class_index(target, classes, key) == 0:
            hint = f"To explain '{classes[0]}', write target: {classes[1]} and direction: minimise"
            rule = f"must be '{classes[1]}', the class that a network with one output responds to"
            raise InputError(rule, key=key, value=target, suggestion=hint)
        return 0
    if len(classes) == outputs:
        return class_index(target, classes, key)
    number = f"{outputs} output{'s' * (outputs != 1)}"
    if isinstance(target, int) and 0 <= target < outputs:
        return int(target)
    rule = f"must be the index of an output, 0 to {outputs - 1}, as there are {number} and {len(classes)} named classes"
    raise InputError(rule, key=key, value=target)


def _numbers(x: np.ndarray, key: str, source: str) -> np.ndarray:
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise InputError("x must hold uint8 or floating-point numbers", key=key, value=f"{source}: {x.dtype}")
    if x.ndim < 2 or x.size == 0:
        raise InputError("x must hold at least one sample, as [N, ...]", key=key, value=f"{source}: {list(x.shape)}")
    x = as_float(x)
    bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
    if len(bad):
        rule = "x must be finite (no NaN, no infinity)"
        raise InputError(rule, key=key, value=f"{source}: {len(bad)} of {len(x)} samples, the first at {bad[0]}")
    return x


def _layout(x: np.ndarray, media: str | None) -> np.ndarray:
    if media in _AS_THEY_ARE:
        return np.ascontiguousarray(x)
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in CHANNELS and x.shape[1] not in CHANNELS:
        x = np.moveaxis(x, -1, 1)
    return np.ascontiguousarray(x)


def _media_of(x: np.ndarray, key: str) -> str:
    """ "image" for image-shaped numbers in [0, 1], else "array"; 0 to 255 as floats is the classic slip."""
    if x.ndim != 4 or x.shape[1] not in CHANNELS or x.min() < 0:
        return "array"
    if x.max() > 1:
        hint = "Divide them by 255 or save them as uint8; media: array takes them as they are"
        raise InputError(
            "image values must lie in [0, 1]", key=key, value=[float(x.min()), float(x.max())], suggestion=hint
        )
    return "image"


def _labels(y: np.ndarray, samples: int, key: str) -> np.ndarray:
    if not np.issubdtype(y.dtype, np.integer):
        named = "Save names as indices: classes, y = np.unique(y, return_inverse=True)"
        hint = named if y.dtype.kind == "U" else None
        raise InputError("y must hold integers, one class index a sample", key=key, value=str(y.dtype), suggestion=hint)
    if y.shape != (samples,):
        raise InputError(f"y must hold one label for each of the {samples} samples of x", key=key, value=list(y.shape))
    return y.astype(np.int64)


def _class_names(y: np.ndarray | None, classes: Sequence[Any] | None, key: str) -> tuple[str, ...]:
    if classes is None or len(classes) == 0:
        names: tuple[str, ...] = () if y is None else tuple(str(index) for index in range(int(y.max()) + 1))
    else:
        names = tuple(str(name) for name in classes)
    if y is not None and (y.min() < 0 or y.max() >= len(names)):
        rule = f"labels must lie between 0 and {len(names) - 1}, as there are {len(names)} classes"
        raise InputError(rule, key=key, value=[int(y.min()), int(y.max())])
    return names


def _mel(mel: Any, x: np.ndarray, key: str) -> MelSpec:
    from raysweep.data.audio import MelSpec  # torch comes with it

    spec = MelSpec.of(mel, key)
    if x.shape[-2] != spec.n_mels:
        raise InputError(f"mel must say as many bands as x has, {x.shape[-2]}", key=key, value=spec.n_mels)
    return spec


def _fingerprint(x: np.ndarray, y: np.ndarray | None, classes: tuple[str, ...], waves: np.ndarray | None) -> str:
    digest = hashlib.sha256(repr((x.shape, y is not None, classes)).encode())
    digest.update(x.data)
    if y is not None:
        digest.update(y.data)
    if waves is not None:
        digest.update(np.ascontiguousarray(waves).data)
    return digest.hexdigest()
