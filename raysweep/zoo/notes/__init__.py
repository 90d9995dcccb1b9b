"""Notes of ten families of instruments as magnitude and phase spectra: networks and a test split (figures: CARD.md)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.notes.networks import CLASSES, Classifier, Inpainter, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "classifier": ModelEntry(Classifier, FOLDER / "classifier.safetensors", units=CLASSES, media="spectrum"),
    "inpainter": ModelEntry(Inpainter, FOLDER / "inpainter.safetensors", media="spectrum"),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=CLASSES, media="spectrum"),
}
DATA = {"test": DataEntry(FOLDER / "test.npz", CLASSES, media="spectrum")}
