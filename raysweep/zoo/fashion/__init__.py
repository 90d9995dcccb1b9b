"""Fashion-MNIST, 28 × 28 grey: generator, classifier, inpainter, judge, and a balanced test split (CARD.md)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.fashion.networks import CLASSES, LATENT, Classifier, Generator, Inpainter, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "generator": ModelEntry(Generator, FOLDER / "generator.safetensors", latent=LATENT),
    "classifier": ModelEntry(Classifier, FOLDER / "classifier.safetensors", units=CLASSES),
    "inpainter": ModelEntry(Inpainter, FOLDER / "inpainter.safetensors"),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=CLASSES),
}
DATA = {"test": DataEntry(FOLDER / "test.npz", CLASSES)}
