"""Cut-outs and photographs from Debian packages: nothing here is needed to use the zoo.

What is in one split is in no other: neither a cut-out, nor another photograph of the same animal or of the same kind of
thing where the two look alike, nor a background.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from raysweep.errors import InputError
from raysweep.zoo.cutouts.networks import CLASSES

TUXPAINT, NATURE = "usr/share/tuxpaint", "usr/share/backgrounds/mate/nature"
PACKAGES = {f"{TUXPAINT}/stamps": "tuxpaint-stamps-default", TUXPAINT: "tuxpaint-data", NATURE: "mate-backgrounds"}
"""What lies where, the more exact folder first."""

FOLDERS = {
    "bird": "animals/birds",
    "fish": "animals/fish",
    "flower": "plants/flowers",
    "fruit": "food/fruit",
    "instrument": "hobbies/music",
    "mammal": "animals",
    "vehicle": "",
}
"""Where a class's stamps lie, there or in a folder below that is not `cartoon`."""

STAMPS = {
    "train": {
        "bird": "adelaide-rosella blackbird chicken_profile crowned_crane drake duck guineafowl helmeted_guineafowl hen"
        " heron_greatblue heron_greatblue_flying little-penguin magellanic_penguin nandou owl pigeon turkey vulture",
        "fish": "bluegroper butterflyfish dolphinfish lionfish seahorse",
        "flower": "adeenia anemone_red appooppanthady chemparathi daffodil flower10 flower3 flower4 flower5 flower8"
        " pigface rose whitestar-petunia",
        "fruit": "Cherry_Stella Strawberry2 apple_fuji apple_granny_smith apple_green apple_red apple_sierra_beauty"
        " avocado grapes lemon mandarine orange pineapple sliced_orange strawberry",
        "instrument": "cello cymbal_crash drum_tomtom_floor drumkit guitar_electric trumpet",
        "mammal": "bear bison bull camel caribou cow cow_white dingo doe dog dromedary elephant european-bear fox"
        " gorilla lion lion-2 mouse orca otter pig pig_golden pig_golden2 rabbit rabbit-2 rabbit_little rat sheep"
        " sheep_lamb squirrel zebra",
        "vehicle": "beetle bradley dumper f22_raptor firetruck green_korean_bus indycar pink_tricycle walnutBoat"
        " ww2_german_gun",
    },
    "tune": {
        "bird": "cuckoo gander lark pelican peacock pink_flamingo rooster seagull",
        "fish": "coraltrout moonwrasse",
        "flower": "bolsom flower1 flower6 marigold red-gazania",
        "fruit": "Apricot_whole banana cherimoya pear raspberry",
        "instrument": "guitar_classical guitar_electric_bass",
        "mammal": "capybara chimp dolphin donkey donkey_eating gnu-baby gnu-baby-stand gnu-stand goat hippopotamus"
        " kangaroo tiger wapiti wombat yak",
        "vehicle": "747 chineseJunk garbagetruck sportscar2",
    },
    "test": {
        "bird": "crow magpie ostrich penguin quetzal rainbow-lorikeet silver-gull tucan",
        "fish": "clownfish stripedfish",
        "flower": "anthoorium flower2 flower9 iris yellow-flower",
        "fruit": "kiwi mango orange_seville pomegranate sliced_lime",
        "instrument": "guitar2 violin",
        "mammal": "badger beaver deer ferret giraffe horse koala marmot mountaingoat ram rhino_black sea_lion"
        " tamarin_emperor wildboar zebu",
        "vehicle": "infantry-stryker sedan truck",
    },
}
"""Photographs of each class. Left out: drawings, mirrored twins, and what was cut out with the grass it stands on."""

PHOTOGRAPHS = {
    "train": "Blinds Dune RainDrops burnt_bark mossy_bark spiders_web sun_behind_clouds sun_behind_leaves trees_at_dusk"
    " wool_mill_machine lighthouse skyline-sf-dusk-back",
    "tune": "GreenMeadow Wood rocks ocean_waves trees_above cliff mossy_log",
    "test": "Aqua Storm mudstone ocean_splash redwoods_above corn_maze reef-back",
}
"""Those that show nothing of the classes."""

LARGEST, HEIGHT = 160, 320
"""The longer side of a cut-out at most, and the height of a photograph, as they are kept."""
OPAQUE, SEEN = 128, 20
"""From which alpha on a pixel is the cut-out's, and from which it shows at all."""

Cutouts = tuple[tuple[Image.Image, ...], ...]


def read_cutouts(root: Path, split: str) -> Cutouts:
    """The cut-outs of each class, RGBA, without an empty margin."""

    def read(name: str, label: str) -> Image.Image:
        cutout = Image.open(_found(root, f"{TUXPAINT}/stamps/{FOLDERS[label]}", name)).convert("RGBA")
        cutout = cutout.crop(cutout.getchannel("A").point(lambda alpha: 255 * (alpha > SEEN)).getbbox())
        share = min(1.0, LARGEST / max(cutout.size))
        size = max(1, round(cutout.width * share)), max(1, round(cutout.height * share))
        return cutout.resize(size, Image.Resampling.BOX)

    return tuple(tuple(read(name, label) for name in STAMPS[split][label].split()) for label in CLASSES)


def read_photographs(root: Path, split: str) -> tuple[Image.Image, ...]:
    """The backgrounds, RGB, without a black margin."""

    def read(name: str) -> Image.Image:
        folder = NATURE if name[0].isupper() else f"{TUXPAINT}/{'starters' if '-back' in name else 'templates'}"
        whole = Image.open(_found(root, folder, name)).convert("RGB")
        whole = whole.crop(whole.convert("L").point(lambda light: 255 * (light > SEEN)).getbbox())
        return whole.resize((round(whole.width * HEIGHT / whole.height), HEIGHT), Image.Resampling.BOX)

    return tuple(read(name) for name in PHOTOGRAPHS[split].split())


def _found(root: Path, folder: str, name: str) -> Path:
    """The picture of this name in a folder or below.

    Raises:
        InputError: there is none; the package that has it is named.
    """
    files = [
        file
        for file in sorted((root / folder).rglob(f"{name}.*"))
        if file.suffix in (".png", ".jpg", ".jpeg") and file.parent.name != "cartoon"
    ]
    if not files:
        package = next(package for place, package in PACKAGES.items() if folder.startswith(place))
        hint = f"On Debian: apt-get install {package}, or dpkg -x its file to a folder and name that"
        raise InputError("the pictures must be there", key="--root", value=str(root / folder / name), suggestion=hint)
    return files[0]
