"""Notes to listen to: each as it is, what its mask keeps of it, and what the mask removes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raysweep.data.audio import write_wav
from raysweep.data.spectrum import NOTE, Wave, part

PARTS = ("note", "kept", "removed")


def parts_of(wave: Wave, mask: np.ndarray) -> dict[str, NDArray[np.floating]]:
    """The `PARTS` of a note; the three are turned down together where one of them leaves [-1, 1].

    The mask is rounded, as it is for an inpainter, so that each frequency is heard in one part: the powers of both add
    up to the note's between 20 and 8000 Hz. A frequency whose phase belongs to the other part has a random one.

    Args:
        wave: the note, [samples].
        mask: [2, bins], what is kept of magnitude and phase.
    """
    kept, removed = part(wave, np.round(np.clip(mask, 0, 1)))
    loudest = max(1.0, *(float(np.abs(one).max()) for one in (wave, kept, removed)))
    return {name: one / loudest for name, one in zip(PARTS, (wave, kept, removed), strict=True)}


def write_parts(
    folder: Path, waves: Sequence[Wave | None], masks: np.ndarray, first: int = 0
) -> tuple[list[Path], list[int]]:
    """Write `<example>-<part>.wav` of every note that can be heard, and name the examples of which none can.

    Args:
        folder: made here, unless there is nothing to write.
        waves: of each example, or None.
        masks: [N, 2, bins].
        first: number of the first example.
    """
    files, unheard = [], []
    for example, (wave, mask) in enumerate(zip(waves, masks, strict=True), first):
        if wave is None:
            unheard.append(example)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, sound in parts_of(wave, mask).items():
            files.append(folder / f"{example}-{name}.wav")
            write_wav(files[-1], sound, NOTE.sample_rate)
    return files, unheard


def strung(waves: Sequence[Wave | None], masks: np.ndarray, limit: int = 3) -> dict[str, bytes]:
    """A WAV file's bytes for each of the `PARTS`, of the first `limit` notes that can be heard, one after another.

    Nothing where none can.
    """
    heard = [parts_of(wave, mask) for wave, mask in zip(waves, masks, strict=True) if wave is not None][:limit]
    found = {}
    for name in PARTS if heard else ():
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            write_wav(file.name, np.concatenate([parts[name] for parts in heard]), NOTE.sample_rate)
            found[name] = Path(file.name).read_bytes()
    return found
