"""Singing over instruments, or instruments alone, as log-mels: networks and a test split (CARD.md has the figures)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.vocal.networks import CLASSES, LATENT, Classifier, Generator, Judge

FOLDER = Path(__file__).parent

MODELS = {
    "generator": ModelEntry(Generator, FOLDER / "generator.safetensors", latent=LATENT, media="logmel"),
    "classifier": ModelEntry(Classifier, FOLDER / "classifier.safetensors", units=("vocal",), media="logmel"),
    "judge": ModelEntry(Judge, FOLDER / "judge.safetensors", units=("vocal",), media="logmel"),
}
DATA = {"test": DataEntry(FOLDER / "test.npz", CLASSES, media="logmel")}
