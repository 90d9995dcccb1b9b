"""The SoundFonts and packages that only the recipes need, and how to install each that is missing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from raysweep.errors import InputError

SOUNDFONTS = Path("/usr/share/sounds")
DEBIAN = {
    "sf2/TimGM6mb.sf2": "timgm6mb-soundfont",
    "sf3/FluidR3Mono_GM.sf3": "fluidr3mono-gm-soundfont",
    "sf3/MuseScore_General_Lite.sf3": "musescore-general-soundfont-small",
}


def require(package: str) -> Any:
    """Import a package that only the recipes need."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        hint = "Run: pip install 'raysweep[recipes]'"
        raise InputError("the recipe needs this package", value=package, suggestion=hint) from error


def soundfont(name: str) -> Path:
    """The SoundFont `sf2/…` or `sf3/…`."""
    file = SOUNDFONTS / name
    if not file.exists():
        hint = f"On Debian run: apt install {DEBIAN.get(name, ' '.join(DEBIAN.values()))}"
        raise InputError("this SoundFont is missing", value=str(file), suggestion=hint)
    return file
