"""Fashion-MNIST, 28 × 28 grey: generator, classifiers, inpainter, expert, judge, images (CARD.md)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from raysweep.models.rbm import GaussianBernoulliRBM
from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.fashion.networks import CLASSES, LATENT, Classifier, Generator, Inpainter, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "generator": ModelEntry(Generator, FOLDER / "generator.safetensors", latent=LATENT),
    "classifier": ModelEntry(Classifier, FOLDER / "classifier.safetensors", units=CLASSES),
    "regular": ModelEntry(Classifier, FOLDER / "regular.safetensors", units=CLASSES),
    "robust": ModelEntry(Classifier, FOLDER / "robust.safetensors", units=CLASSES),
    "marked": ModelEntry(Classifier, FOLDER / "marked.safetensors", units=CLASSES),
    "marked_robust": ModelEntry(Classifier, FOLDER / "marked_robust.safetensors", units=CLASSES),
    "inpainter": ModelEntry(Inpainter, FOLDER / "inpainter.safetensors"),
    "expert": ModelEntry(partial(GaussianBernoulliRBM, 784, 256, 0.15), FOLDER / "expert.safetensors"),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=CLASSES),
}
DATA = {name: DataEntry(FOLDER / f"{name}.npz", CLASSES) for name in ("test", "seen")}
