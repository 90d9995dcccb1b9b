"""The sounds that may come with spectra, because a spectrum of bands cannot be played."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raysweep.data.spectrum import NOTE, spectrum
from raysweep.errors import InputError

FULL_SCALE = 32767
"""What stands for 1 in a wave of 16 bits."""
_SAME_NOTE = 0.05
"""The root mean square by which magnitudes may differ from those of their wave; rounding is a hundredth of it."""


def check_waves(waves: np.ndarray, x: np.ndarray, key: str) -> NDArray[np.int16]:
    """The waves of a data set's first spectra, as they are.

    Args:
        waves: [K, samples].
        x: the spectra [N, 2, bins].
        key: the sweep file's key, for errors.

    Raises:
        InputError: not int16, another length than `NOTE`'s, more waves than spectra, or other bands; or the first or
            the last wave has another spectrum than the one at its place, as where waves were saved in another order.
    """
    if waves.dtype != np.int16 or waves.ndim != 2 or not 0 < len(waves) <= len(x) or waves.shape[1] != NOTE.samples:
        rule = f"waves must be int16 [K, {NOTE.samples}], the first K ≤ {len(x)} samples at {NOTE.sample_rate} Hz"
        hint = f"Of floats in [-1, 1]: np.round(waves * {FULL_SCALE}).astype('int16')"
        raise InputError(rule, key=key, value=f"{waves.dtype} {list(waves.shape)}", suggestion=hint)
    if x.shape[1:] != (2, NOTE.bins):
        raise InputError(f"x must be [N, 2, {NOTE.bins}] where waves come with it", key=key, value=list(x.shape))
    for index in (0, len(waves) - 1):
        off = spectrum(waves[index] / FULL_SCALE)[0] - x[index, 0]
        if np.sqrt(np.square(off).mean()) > _SAME_NOTE:
            raise InputError("each wave must be the sound of the spectrum at its place", key=key, value=index)
    return waves


def waves_of(samples: np.ndarray, x: np.ndarray, waves: NDArray[np.int16] | None) -> list[NDArray[np.float64] | None]:
    """The sound of each sample, [samples] in [-1, 1]; None where none is known.

    Samples are found by their digits, so that the explanations which a sweep has stored can be heard as well.

    Args:
        samples: spectra [n, 2, bins] out of `x`.
        x, waves: a data set's, the waves of the first K.
    """
    if waves is None:
        return [None] * len(samples)
    known = {row.tobytes(): index for index, row in enumerate(x[: len(waves)])}
    places = [known.get(np.asarray(sample, x.dtype).tobytes()) for sample in samples]
    return [None if place is None else waves[place] / FULL_SCALE for place in places]
