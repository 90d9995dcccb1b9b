"""Birds of land and water before land and water, 32 × 32 in colour: classifiers, judge, witness, images (CARD.md)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.waterbirds.networks import BACKGROUNDS, BIRDS, Classifier, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "erm": ModelEntry(Classifier, FOLDER / "erm.safetensors", units=BIRDS),
    "dro": ModelEntry(Classifier, FOLDER / "dro.safetensors", units=BIRDS),
    "erm_robust": ModelEntry(Classifier, FOLDER / "erm_robust.safetensors", units=BIRDS),
    "dro_robust": ModelEntry(Classifier, FOLDER / "dro_robust.safetensors", units=BIRDS),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=BIRDS),
    "background": ModelEntry(Judge, FOLDER / "background.safetensors", units=BACKGROUNDS),
}
DATA = {name: DataEntry(FOLDER / f"{name}.npz", BIRDS) for name in ("test", "seen")}
