"""What a sweep file points at: files and `module:callable`, both looked up from the sweep file's own folder."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep.errors import InputError, nearest

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_folders: set[Path] = set()
_brought: set[str] = set()
"""Modules that sweeps' folders brought in."""


def is_callable_name(source: str) -> bool:
    """Whether `source` reads as `module:callable`."""
    return _CALLABLE.fullmatch(source) is not None


def is_module(name: str, folder: Path) -> bool:
    """Whether the part of `name` before its first dot is a module that could be imported; nothing is."""
    first = name.partition(".")[0]
    beside = (folder / f"{first}.py").is_file() or (folder / first).is_dir()
    return beside or importlib.util.find_spec(first) is not None


def locate(source: str, *, folder: Path | None, key: str) -> Path:
    """The existing file or folder that `source` names, relative to `folder` (default: the working directory).

    Raises:
        InputError: there is nothing at that path; a name in the same place that looks like it is suggested.
    """
    path = (folder or Path.cwd()) / Path(source).expanduser()
    if path.exists():
        return path
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside)
    hint = f"Did you mean '{Path(source).with_name(close)}'?" if close else f"Looked at {path}"
    raise InputError("must be a file or folder that exists", key=key, value=source, suggestion=hint)


@contextmanager
def importing(folder: Path | None) -> Iterator[None]:
    """Make the modules in `folder` importable, first on the path, for the length of the block.

    A module of the same name that an earlier sweep's folder brought in is forgotten, so that each sweep gets its own.
    """
    if folder is None:
        yield
        return
    here = folder.resolve()
    _forget_namesakes(here)
    _folders.add(here)
    sys.path.insert(0, str(here))
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        yield
    finally:
        sys.path.remove(str(here))
        _brought.update(name for name in set(sys.modules) - before if _is_own(name, here, before))


def forget_own_modules() -> None:
    """Drop every module that a sweep's folder brought in: the next sweep gets the files as they are then."""
    for name in _brought:
        sys.modules.pop(name, None)
    _brought.clear()


def call(source: str, *, folder: Path | None, key: str, args: dict[str, Any] | None = None) -> Any:
    """Call the `module:callable` that `source` names with `args` as keywords and return what it returns.

    Raises:
        InputError: no such module, no such name in it, not callable, or it raised; the message says where.
    """
    with importing(folder):
        function = _resolve(source, key, folder)
        try:
            return function(**(args or {}))
        except InputError:
            raise
        except Exception as error:
            raise InputError("must run without an error", key=key, value=source, suggestion=_blame(error)) from error


def _resolve(source: str, key: str, folder: Path | None) -> Callable[..., Any]:
    module_name, _, path = source.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        hint = _blame(error)
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            hint += _sought(module_name, path, folder)
        raise InputError("must name a module that imports", key=key, value=source, suggestion=hint) from error
    for name in path.split("."):
        if not hasattr(found, name):
            close = nearest(name, [known for known in dir(found) if not known.startswith("_")])
            hint = f"Did you mean '{close}'?" if close else f"'{module_name}' has no '{name}'"
            raise InputError("must name something in that module", key=key, value=source, suggestion=hint)
        found = getattr(found, name)
    if not callable(found):
        raise InputError("must name a callable", key=key, value=source, suggestion=f"It is a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _sought(module: str, path: str, folder: Path | None) -> str:
    """Where a module that is not there was sought, and the one in that place that looks like it."""
    if module.endswith(".py"):
        return f". Write {module.removesuffix('.py')}:{path}"
    here = (folder or Path.cwd()).resolve()
    close = nearest(module, [file.stem for file in here.glob("*.py")])
    return f". Did you mean '{close}:{path}'?" if close else f". There is no {module.replace('.', '/')}.py in {here}"


def _forget_namesakes(here: Path) -> None:
    """Drop cached modules from other sweeps' folders that have a namesake in `here`."""
    for name, module in list(sys.modules.items()):
        if "." in name or not ((here / f"{name}.py").is_file() or (here / name / "__init__.py").is_file()):
            continue
        file = getattr(module, "__file__", None)
        home = Path(file).resolve().parent if file else None
        home = home.parent if home and home.name == name else home
        if home in _folders and home != here:
            for cached in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
                del sys.modules[cached]


def _is_own(name: str, here: Path, before: set[str]) -> bool:
    """Whether a module that is new lies in a sweep's folder; parts of an older package, as raysweep's own, do not."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name.partition(".")[0] in before or "site-packages" in Path(file).parts:
        return False
    return Path(file).resolve().is_relative_to(here)


def _blame(error: Exception) -> str:
    """The error in one line, with the place in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in frame.filename]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}{place}"
