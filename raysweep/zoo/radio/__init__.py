"""Radio maps of real cities, 64 × 64: Φ, Φ_gt and held-out windows (CARD.md has the figures)."""

from __future__ import annotations

from pathlib import Path

from raysweep.zoo import DataEntry, ModelEntry
from raysweep.zoo.radio.networks import CITIES, UNet

FOLDER = Path(__file__).parent

MODELS = {
    "phi": ModelEntry(UNet, FOLDER / "phi.safetensors", media="array"),
    "phi_gt": ModelEntry(UNet, FOLDER / "phi_gt.safetensors", media="array"),
}
DATA = {"test": DataEntry(FOLDER / "test.npz", CITIES, media="radio")}
