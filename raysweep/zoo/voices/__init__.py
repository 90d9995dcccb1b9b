"""A second of a man, of a woman, or of no voice at all, as log-mels: networks and data (CARD.md has the figures)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.voices.networks import CLASSES, Classifier, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "regular": ModelEntry(Classifier, FOLDER / "regular.safetensors", units=CLASSES, media="logmel"),
    "robust": ModelEntry(Classifier, FOLDER / "robust.safetensors", units=CLASSES, media="logmel"),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=CLASSES, media="logmel"),
}
DATA = {name: DataEntry(FOLDER / f"{name}.npz", CLASSES, media="logmel") for name in ("test", "seen")}
