"""The sweep file: YAML, checked whole by its schema before anything starts; `load_sweep` is the one way in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raysweep.document import Document
from raysweep.errors import InputError, RaysweepError, did_you_mean, nearest
from raysweep.rules import check_comparing, check_method, check_search
from raysweep.schema import ComparingSweep, SingleSweep, Sweep
from raysweep.schema_errors import schema_errors
from raysweep.search.domains import KINDS, parse_domain
from raysweep.search.space import METHOD, shared_with
from raysweep.yaml_source import parse_yaml


class SweepFile:
    """A checked sweep together with where each of its keys stands.

    Args:
        sweep: what the file says.
        folder: the file's own folder: what its relative paths and its modules are looked up from.
        document: the file as it is written.
    """

    def __init__(self, sweep: Sweep, folder: Path, document: Document):
        self.sweep, self.folder, self.document = sweep, folder, document

    @property
    def path(self) -> Path | None:
        """The file; None for a sweep given as plain data."""
        return Path(self.document.file) if self.document.file else None

    @property
    def single(self) -> SingleSweep:
        """What a file of one method says.

        Raises:
            InputError: it is of several.
        """
        if isinstance(self.sweep, SingleSweep):
            return self.sweep
        hint = "Let raysweep best NAME -o best.yaml write the winner's"
        raise InputError("must be one method here", key="method.choice", suggestion=hint)

    @cached_property
    def of_methods(self) -> dict[str, SweepFile]:
        """A file for each method that it compares, by name; itself, under no name, where it is of one."""
        if not isinstance(self.sweep, ComparingSweep):
            return {"": self}
        return {name: MethodFile(self, self.sweep.of(name), name) for name in self.sweep.methods}

    def located(self, error: InputError) -> InputError:
        """The same error with the file and the line of its key filled in."""
        return self.document.located(error)


class MethodFile(SweepFile):
    """The part of a file that compares methods which is about one of them."""

    def __init__(self, whole: SweepFile, sweep: SingleSweep, method: str) -> None:
        super().__init__(sweep, whole.folder, whole.document)
        self._method, self._shared = method, shared_with(whole.sweep.space, method, whole.sweep.methods)

    def located(self, error: InputError) -> InputError:
        """Its key is looked up where the whole file has it."""
        if error.file is None and error.key is not None:
            place, _, below = error.key.partition(".")
            if place == METHOD:
                error.key = f"{METHOD}.choice.{self._method}{'.' * bool(below)}{below}"
            elif place == "space" and below.partition(".")[0] not in self._shared:
                error.key = f"space.{self._method}.{below}"
        return super().located(error)


class SweepFileErrors(InputError):
    """All that is wrong with a sweep file, one line each, in the order of the file."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = sorted(errors, key=lambda error: error.line or 0)
        first = self.errors[0]
        super().__init__(first.rule, key=first.key, file=first.file, line=first.line, suggestion=first.suggestion)
        self.value = first.value

    def _message(self) -> str:
        return "\n".join(str(error) for error in self.errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return (SweepFileErrors, (self.errors,))


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """Read and check a sweep file.

    Args:
        path: the YAML file.
        overrides: `key=value` with dotted keys and YAML values, as `--set` takes them.

    Raises:
        InputError: names file, line, key, rule and value of everything that does not hold.
    """
    file = Path(path)
    raw, lines = parse_yaml(_read(file), str(path))
    if raw is None:
        raise InputError("is empty; it must be a mapping of keys, as in jobs/quickstart.yaml", file=str(path), line=1)
    if not isinstance(raw, dict):
        raise InputError("must be a mapping of keys, as in jobs/quickstart.yaml", file=str(path), line=1, value=raw)
    document = Document(raw, str(path), lines)
    for override in overrides:
        document.override(override)
    return check_sweep(document, file.resolve().parent)


def check_sweep(document: Document, folder: Path) -> SweepFile:
    """The sweep that plain data describes, its relative paths looked up from `folder`; see `load_sweep`."""
    method = document.raw.get(METHOD)
    schema: type[Sweep] = ComparingSweep if isinstance(method, dict) and "choice" in method else SingleSweep
    sweep, found = None, list[InputError]()
    try:
        sweep = schema.model_validate(document.raw)
    except ValidationError as error:
        found = schema_errors(error, schema)
    found = space_errors(document.raw.get("space"), sweep.methods if sweep else _names(method)) + found
    if found or sweep is None:
        raise SweepFileErrors([document.located(one) for one in found])
    file = SweepFile(sweep, (folder / (sweep.folder or ".")).resolve(), document)
    try:
        if not file.folder.is_dir():
            raise InputError("must be a folder that exists", key="folder", value=sweep.folder)
        if isinstance(sweep, ComparingSweep):
            _ = sweep.parsed_space  # what a method's own sweep is made from
            check_comparing(sweep)
    except InputError as error:
        raise file.located(error) from None
    for one in file.of_methods.values():
        try:
            check_method(one.single)
        except InputError as error:
            raise one.located(error) from None
    try:
        check_search(sweep)
    except InputError as error:
        raise file.located(error) from None
    return file


def _names(method: Any) -> tuple[str, ...]:
    """What methods are called that do not hold themselves."""
    choice = method.get("choice") if isinstance(method, dict) else None
    return tuple(map(str, choice)) if isinstance(choice, (dict, list)) else ()


def space_errors(space: Any, methods: Sequence[str] = (), key: str = "space") -> list[InputError]:
    """What is wrong with the values of each parameter of a space; not what holds between parameters."""
    found = []
    for name, body in space.items() if isinstance(space, dict) else ():
        if name in methods and isinstance(body, dict):
            found += space_errors(body, key=f"{key}.{name}")
            continue
        if methods and isinstance(body, dict) and not body.keys() & {*KINDS, "when"}:
            rule = "must be a distribution, or stand below one of the methods of method.choice"
            found.append(InputError(rule, key=f"{key}.{name}", value=name, suggestion=did_you_mean(str(name), methods)))
            continue
        values = {key: value for key, value in body.items() if key != "when"} if isinstance(body, dict) else body
        try:
            parse_domain(values, f"{key}.{name}")
        except InputError as error:
            found.append(error)
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = file.read_bytes().count(b"\n", 0, error.start) + 1
        raise InputError("must be text in UTF-8", file=str(file), line=line) from None
    except (OSError, ValueError) as error:
        known = [beside.name for beside in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        close = nearest(file.name, known)
        hint = f"Did you mean '{file.with_name(close)}'?" if close else None
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", file=str(file), suggestion=hint) from None


__all__ = ["RaysweepError", "Sweep", "SweepFile", "SweepFileErrors", "check_sweep", "load_sweep"]
