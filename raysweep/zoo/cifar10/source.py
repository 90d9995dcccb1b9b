"""CIFAR-10's parquet files, as data hubs have them, and the split that the recipe uses.

The images are 32 × 32 colour photographs of ten kinds of things (Krizhevsky, *Learning multiple layers of features from
tiny images*, 2009), 50,000 to train and 10,000 to test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch

from raysweep.data.parquet import read_parquet
from raysweep.errors import InputError
from raysweep.zoo.images import Images

SPLIT_SEED, PROBED = 0, 0.7
"""Of the training images, the share that trains the classifiers that are probed; the judge has the others."""


@dataclass(frozen=True)
class Split:
    """`probed` trains the two classifiers that are probed, `judging` the judge alone. `test` trains none."""

    probed: Images
    judging: Images
    test: Images


def read_split(folder: Path) -> Split:
    """The three parts of train.parquet and test.parquet."""
    train, test = read_images(folder / "train.parquet"), read_images(folder / "test.parquet")
    probed, judging = _divided(len(train))
    return Split(train[probed], train[judging], test)


def write_shown(folder: Path) -> int:
    """Write shown.parquet, what a generator may be shown: the images of `Split.probed`, as they were stored; how many.

    The judge has met none of them. As in the paper, the probed classifiers have met all, the target class's among them.
    """
    table = pq.read_table(folder / "train.parquet")
    part = folder / "shown.part"
    table = table.take(_divided(table.num_rows)[0].numpy())
    pq.write_table(table, part)
    part.replace(folder / "shown.parquet")
    return int(table.num_rows)


def read_images(file: Path) -> Images:
    """The images of one parquet file.

    Raises:
        InputError: it is not there, or not what `read_parquet` reads; the classes are not labelled.
    """
    if not file.is_file():
        rule = "must hold CIFAR-10 as train.parquet and test.parquet, columns img {bytes, path} and label"
        raise InputError(rule, key="--data", value=str(file))
    x, y, _ = read_parquet(file, key="--data")
    if y is None or x.shape[1:] != (3, 32, 32):
        raise InputError("must be images of 32 × 32 in colour, with labels", key="--data", value=str(file))
    return Images(torch.from_numpy(x), torch.tensor(y, dtype=torch.int64))


def _divided(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the images that train the probed classifiers, and of those that train the judge."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    return order[: int(PROBED * count)], order[int(PROBED * count) :]
