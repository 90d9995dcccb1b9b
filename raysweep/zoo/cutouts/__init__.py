"""Photo cut-outs on photographs, 112 × 112 in colour, with their boxes, and a MobileNetV2 to explain (CARD.md)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.cutouts.networks import CLASSES, Classifier

FOLDER = Path(__file__).parent

MODELS = {"classifier": ModelEntry(Classifier, FOLDER / "classifier.safetensors", units=CLASSES)}
DATA = {name: DataEntry(FOLDER / f"{name}.npz", CLASSES) for name in ("tune", "test")}
