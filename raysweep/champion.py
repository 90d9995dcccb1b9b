"""The winner as a folder that explains anywhere: its networks' files and the user's own code, beside its sweep file."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.data.dataset import class_unit
from raysweep.data.load import load_arrays, load_data
from raysweep.methods import METHODS
from raysweep.methods.radio import arrays_read
from raysweep.sources import is_callable_name, locate
from raysweep.submission import is_uploaded
from raysweep.zoo import SCHEME

EXPLAINS = ("generator", "inpainter", "expert", "classifier")
"""The networks that an explanation may need; judge and objectives only score it, and their files are not carried."""
FILES = "files"


def carry(document: dict[str, Any], media: str, home: Path, folder: Path) -> dict[str, Any]:
    """Copy what explaining needs from `home` into `folder`; the document, naming the copies.

    Files become `files/<n>-<name>`, wherever they lay. The user's modules and packages keep their names, so that they
    are importable beside the sweep file as they were. Of the user's data only shape and class names go along, unless
    the method needs samples of them.

    Args:
        document: a sweep file's keys; what its networks and data name is looked up from `home`.
        media: how its explanations are shown.
        home: the folder that relative paths and modules start from.
        folder: made here.

    Raises:
        InputError: something that it names is not there any more.
    """
    document = copy.deepcopy(document)
    (folder / FILES).mkdir(parents=True)
    networks = {role: document["models"][role] for role in EXPLAINS if role in document["models"]}
    networks |= {f"classifiers.{name}": one for name, one in document["models"].get("classifiers", {}).items()}
    for count, (key, model, part) in enumerate(_named_files(networks)):
        path = locate(model[part], folder=home, key=key)
        model[part] = f"{FILES}/{count}-{path.name}"
        _copy(path, folder / model[part])
    method = document["method"]
    sources = [model["source"] for model in networks.values()] + [method.get("components", "")]
    if method.get("components", "").endswith(".npy"):
        path = locate(method["components"], folder=home, key="method.components")
        method["components"] = f"{FILES}/{path.name}"
        _copy(path, folder / method["components"])
    modules = {source.partition(":")[0].partition(".")[0] for source in sources if is_callable_name(source)}
    for path in own_code(home, modules) if modules else ():
        _copy(path, folder / path.relative_to(home))
    if not document["data"]["source"].startswith(SCHEME):
        document["data"] = (
            _whole(document["data"], arrays_read(method), home, folder)
            if METHODS[method["name"]].needs_samples
            else _stand_in(document["data"], media, home, folder)
        )
    if not document.get("images", {"source": SCHEME})["source"].startswith(SCHEME):
        hidden = None if METHODS[method["name"]].shows_target else document["target"]["class"]
        document["images"] = _stand_in(document["images"], media, home, folder, "images", hidden)
    return document


def _whole(data: dict[str, Any], arrays_too: Sequence[str], home: Path, folder: Path) -> dict[str, Any]:
    """All of the data: samples are explained or started from, statistics and further arrays fill the gaps."""
    known = load_data(data["source"], folder=home, key="data.source", media=data.get("media"))
    source = f"{FILES}/data.npz"
    arrays: dict[str, Any] = {"x": known.x, "classes": np.array(known.classes, dtype=str)}
    arrays |= load_arrays(data["source"], arrays_too, len(known.x), folder=home, key="data.source")
    if known.y is not None:
        arrays["y"] = known.y
    if known.waves is not None:
        arrays["waves"] = known.waves
    if known.mel is not None:
        arrays["mel"] = known.mel.numbers
    np.savez_compressed(folder / source, **arrays)
    return {"source": source, "media": known.media}


def _stand_in(
    data: dict[str, Any], media: str, home: Path, folder: Path, key: str = "data", hidden: str | int | None = None
) -> dict[str, Any]:
    """Two flat samples with the classes of the data: what tells the unit that a class stands for, and no more.

    One is as low as any of the data, the other as high, but for those of the class `hidden`.

    The data themselves may be large or private, and only scoring compares with them.
    """
    known = load_data(data["source"], folder=home, key=f"{key}.source", media=data.get("media"))
    source, x, arrays = f"{FILES}/classes-of-{key}.npz", known.x, dict[str, Any]()
    if key == "images" and known.y is not None:
        never = None if hidden is None else class_unit(hidden, known.classes, len(known.classes), "target.class")
        shown = known.y != never  # of None, all
        x, arrays["y"] = x[shown], known.y[shown][:1].repeat(2)
    if known.mel is not None:
        arrays["mel"] = known.mel.numbers
    flat = np.stack([np.full(x.shape[1:], one, dtype=x.dtype) for one in (x.min(), x.max())])
    np.savez(folder / source, **arrays, x=flat, classes=np.array(known.classes, dtype=str))
    return {"source": source, "media": known.media if media == "image" else media}


def _named_files(networks: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(key, keys of the network, the one that names a file) of every file that they name."""
    for role, model in networks.items():
        source = model["source"]
        if not source.startswith(SCHEME) and not is_callable_name(source):
            yield f"models.{role}.source", model, "source"
        if model.get("weights") is not None:
            yield f"models.{role}.weights", model, "weights"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def own_code(home: Path, modules: set[str]) -> Iterator[Path]:
    """The modules and packages in a folder; never secrets, caches or results.

    A package comes whole, as its code may read files beside it; of another folder that holds code, its code only.

    Args:
        home: the folder.
        modules: top-level names that are imported for certain, packages without an `__init__.py` among them.
    """
    for entry in sorted(home.iterdir()):
        if not is_uploaded(Path(entry.name)):
            continue
        if not entry.is_dir():
            inside = iter([entry] if entry.suffix == ".py" else [])
        elif (entry / "__init__.py").is_file():
            inside = entry.rglob("*")
        else:
            inside = entry.rglob("*.py") if entry.name in modules or any(entry.glob("*.py")) else iter(())
        yield from (path for path in inside if path.is_file() and is_uploaded(path.relative_to(home)))
