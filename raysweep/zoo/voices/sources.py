"""Where the recordings come from: Debian packages, who is heard in them, and what they are used for.

Nothing here is needed to use the zoo. A speaker, a piece of music or a sample pack serves one purpose alone, except
that `seen` and `test` share theirs and divide the recordings: a generator is compared with others of what it was shown.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import InputError

CLASSES = ("men", "women", "non-human")
MEN, WOMEN, OTHER = range(3)
KINDS = (".wav", ".ogg", ".flac")
_TEST_SHARE = 4  # of a shared source's recordings one in so many is for testing


@dataclass(frozen=True)
class Source:
    """Recordings of one speaker, or of one kind of sound.

    Args:
        name: short, in the shipped arrays and the card.
        label: one of MEN, WOMEN, OTHER.
        package: Debian's.
        folder: under `usr/share`.
        pattern: what a file's path must match, from that folder.
        who: for the card.
        licence: of the recordings.
    """

    name: str
    label: int
    package: str
    folder: str
    who: str
    licence: str
    pattern: str = ""


_ASTERISK = r"^(?!.*(beep|tone|silence|monkeys|screams|tt-)).*\.wav$"
_WESNOTH = "games/wesnoth/1.16/data/core/music"
_STAMPS = ("tuxpaint-stamps-default", "tuxpaint/stamps")
_SOUNDING = r"^(?!symbols|people|seasonal)(?!.*_desc).*\.(ogg|wav)$"
_BYSA, _BY, _GPL, _CC0 = "CC BY-SA 3.0", "CC BY 3.0", "GPL-2", "CC0-1.0"


def _stamps(language: str, label: int, who: str) -> Source:
    return Source(f"stamps-{language}", label, *_STAMPS, who, _GPL, rf"_desc_{language}\.ogg$")


def _fish(language: str, fish: str, label: int, who: str) -> Source:
    pattern = rf"/{language}/[^/]*-{fish}-[^/]*\.ogg$"
    return Source(
        f"fish-{language}-{fish}", label, f"fillets-ng-data-{language}", "games/fillets-ng/sound", who, _GPL, pattern
    )


def _prompts(package: str, folder: str, label: int, who: str, licence: str) -> Source:
    return Source(folder.lower(), label, f"{package}-wav", f"asterisk/sounds/{folder}", who, licence, _ASTERISK)


SOURCES: dict[str, tuple[Source, ...]] = {
    "classifier": (
        _fish("cs", "v", MEN, "the big fish of Fish Fillets, Czech"),
        _stamps("bg", MEN, "Tux Paint's stamps, Bulgarian"),
        _stamps("da", MEN, "Tux Paint's stamps, Danish"),
        _fish("cs", "m", WOMEN, "the small fish of Fish Fillets, Czech"),
        _prompts("asterisk-core-sounds-en", "en_US_f_Allison", WOMEN, "Allison Smith, English", _BYSA),
        _stamps("el", WOMEN, "Tux Paint's stamps, Greek"),
        _stamps("be", WOMEN, "Tux Paint's stamps, Belarusian"),
        Source("supertux", OTHER, "supertux-data", "games/supertux2/music", "music of SuperTux", _GPL),
        Source(
            "lmms", OTHER, "lmms-common", "lmms/samples", "samples of LMMS: instruments, effects", _GPL, r"^(?!shapes)"
        ),
    ),
    "shared": (
        _fish("nl", "v", MEN, "the big fish of Fish Fillets, Dutch"),
        _stamps("fr", MEN, "Tux Paint's stamps, French"),
        _fish("nl", "m", WOMEN, "the small fish of Fish Fillets, Dutch"),
        _prompts("asterisk-core-sounds-fr", "fr_CA_f_June", WOMEN, "June Wallack, French", _BYSA),
        Source("wesnoth", OTHER, "wesnoth-1.16-music", _WESNOTH, "music of Battle for Wesnoth", _GPL),
        Source("sonic-pi", OTHER, "sonic-pi-samples", "sonic-pi/samples", "samples of Sonic Pi: loops, noises", _CC0),
        Source("animals", OTHER, *_STAMPS, "Tux Paint's stamps: animals, engines, tools", _GPL, _SOUNDING),
    ),
    "judge": (
        _stamps("ru", MEN, "Tux Paint's stamps, Russian"),
        _stamps("ca", MEN, "Tux Paint's stamps, Catalan"),
        _prompts("asterisk-core-sounds-it", "it_IT_m_Carlo", MEN, "Carlo Flora, Italian", _BY),
        _stamps("es", WOMEN, "Tux Paint's stamps, Spanish"),
        _prompts("asterisk-core-sounds-ru", "ru_RU_f_IvrvoiceRU", WOMEN, "from Maxim Topal, Russian", _BY),
        _prompts("asterisk-prompt-it-menardi", "it_IT_f_Menardi", WOMEN, "Paola Dal Zot, Italian", "CC BY-SA 3.0 IT"),
        Source("colobot", OTHER, "colobot-common-sounds", "games/colobot", "music and effects of Colobot", "GPL-3"),
        Source("hydrogen", OTHER, "hydrogen-drumkits", "hydrogen/data/drumkits", "drums of Hydrogen", "several, free"),
    ),
}
SPLITS = {"classifier": "classifier", "judge": "judge", "seen": "shared", "test": "shared"}


def recordings(source: Source, split: str, root: Path) -> list[Path]:
    """The files of a source that a split may use, in an order that tells nothing.

    Args:
        root: where the packages are installed, or were unpacked.
    """
    folder = root / "usr/share" / source.folder
    named = {
        str(file.relative_to(folder)): file for file in folder.rglob("*") if file.suffix in KINDS and file.is_file()
    }
    found = {name: file for name, file in named.items() if re.search(source.pattern, name)}
    if not found:
        hint = f"On Debian run: apt install {source.package}"
        raise InputError("these recordings are missing", key="--root", value=str(folder), suggestion=hint)
    ordered = sorted(found, key=_digest)
    if SPLITS[split] == "shared":
        ordered = [name for place, name in enumerate(ordered) if (place % _TEST_SHARE == 0) == (split == "test")]
    return [found[name] for name in ordered]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
