"""Fashion-MNIST's raw files and the split that the recipe uses: nothing here is needed to use the zoo.

The images are 28 × 28 grey photographs of clothes (Xiao et al., 2017, arXiv:1708.07747), 60,000 to train and 10,000
to test.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from raysweep.errors import InputError
from raysweep.zoo.images import Images

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
HINT = "On Debian: apt-get install dataset-fashion-mnist; elsewhere: github.com/zalandoresearch/fashion-mnist"
SPLIT_SEED, SWEPT, PROBED = 0, 35_000, 20_000


@dataclass(frozen=True)
class Split:
    """`swept` trains classifier and generator, `judging` the judge alone; no image is in both. `test` trains none.

    `swept` is `probed`, which trains the regular and the robust classifier, then `seen`, which neither they nor the
    judge have met: a sweep that probes them may train a generator on it.
    """

    swept: Images
    judging: Images
    test: Images

    @property
    def probed(self) -> Images:
        return self.swept[:PROBED]

    @property
    def seen(self) -> Images:
        return self.swept[PROBED:]


def read_split(folder: Path) -> Split:
    """The three parts; the 60,000 training images are divided by a seeded permutation."""
    train, test = read_images(folder, "train"), read_images(folder, "t10k")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return Split(train[order[:SWEPT]], train[order[SWEPT:]], test)


def read_images(folder: Path, part: str) -> Images:
    """One of the two official parts, `train` or `t10k`."""
    x = _read_idx(folder / f"{part}-images-idx3-ubyte.gz").reshape(-1, 1, 28, 28)
    y = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return Images(torch.from_numpy(x), torch.from_numpy(y))


def _read_idx(file: Path) -> np.ndarray:
    """An IDX file of unsigned bytes: two zero bytes, type, rank, big-endian sizes, then the data."""
    if not file.is_file():
        raise InputError("Fashion-MNIST's raw file must be there", key="--data", value=str(file), suggestion=HINT)
    raw = gzip.decompress(file.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
