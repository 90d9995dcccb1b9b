"""Cut-outs of birds and photographs of land and water, from Debian packages: nothing here is needed to use the zoo."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from raysweep.errors import InputError

STAMPS = "usr/share/tuxpaint/stamps/animals/birds"
TEMPLATES, STARTERS = "usr/share/tuxpaint/templates", "usr/share/tuxpaint/starters"
NATURE = "usr/share/backgrounds/mate/nature"
PACKAGES = {STAMPS: "tuxpaint-stamps-default", TEMPLATES: "tuxpaint-data", STARTERS: "tuxpaint-data"}
PACKAGES |= {NATURE: "mate-backgrounds"}
BIRDS = (
    "adelaide-rosella blackbird chicken_profile crow cuckoo guineafowl helmeted_guineafowl hen lark magpie nandou"
    " ostrich owl peacock pigeon quetzal rainbow-lorikeet rooster tucan turkey vulture",
    "drake duck gander heron_greatblue heron_greatblue_flying little-penguin magellanic_penguin pelican penguin"
    " pink_flamingo seagull silver-gull",
)
"""Of land and of water: all photographs but the crowned crane (of wet land) and the peahen (cut out with grass)."""
PHOTOGRAPHS = (
    (
        *(f"{NATURE}/{name}.jpg" for name in ("GreenMeadow", "Blinds")),
        *(f"{TEMPLATES}/{name}.jpg" for name in ("corn_maze", "mossy_log", "sun_behind_leaves", "burnt_bark")),
    ),
    (f"{TEMPLATES}/ocean_splash.jpg", f"{TEMPLATES}/ocean_waves.jpg", f"{STARTERS}/reef-back.png"),
)
LARGEST, HEIGHT = 96, 128
"""The longer side of a cut-out and the height of a photograph, as they are kept."""

Pictures = tuple[tuple[Image.Image, ...], tuple[Image.Image, ...]]


def read_birds(root: Path) -> Pictures:
    """The cut-outs of land and of water birds, RGBA, without an empty margin."""

    def read(name: str) -> Image.Image:
        bird = Image.open(_found(root, f"{STAMPS}/{name}.png")).convert("RGBA")
        bird = bird.crop(bird.getchannel("A").point(lambda alpha: 255 * (alpha > 20)).getbbox())
        share = LARGEST / max(bird.size)
        return bird.resize((round(bird.width * share), round(bird.height * share)), Image.Resampling.BOX)

    land, water = (tuple(read(name) for name in names.split()) for names in BIRDS)
    return land, water


def read_photographs(root: Path) -> Pictures:
    """The photographs of land and of water, RGB."""

    def read(name: str) -> Image.Image:
        whole = Image.open(_found(root, name)).convert("RGB")
        return whole.resize((round(whole.width * HEIGHT / whole.height), HEIGHT), Image.Resampling.BOX)

    land, water = (tuple(read(name) for name in names) for names in PHOTOGRAPHS)
    return land, water


def _found(root: Path, name: str) -> Path:
    file = root / name
    if not file.is_file():
        package = PACKAGES[str(Path(name).parent)]
        hint = f"On Debian: apt-get install {package}, or dpkg -x its file to a folder and name that"
        raise InputError("the pictures must be there", key="--root", value=str(file), suggestion=hint)
    return file
