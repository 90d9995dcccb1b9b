"""A sweep file as it is written: its data, where each key stands, and what the command line set over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.errors import InputError, did_you_mean
from raysweep.search.domains import same
from raysweep.yaml_source import Path_, parse_scalar

SHORT = ("name", "source", "class")
"""The keys that a bare value may stand for: `method: am` is `method: {name: am}`."""
ARGS = "args"
"""The key whose mapping is not raysweep's own."""
_ABSENT: Any = object()


class Document:
    """The data of a sweep file, from YAML or plain.

    Args:
        raw: its keys, as written.
        file: its path, for messages; None for plain data.
        lines: the line of each key and item, by path.
    """

    def __init__(self, raw: dict[str, Any], file: str | None = None, lines: dict[Path_, int] | None = None) -> None:
        self.raw, self.file, self.lines = raw, file, lines or {}
        self._overrides: dict[Path_, str] = {}

    def override(self, text: str) -> None:
        """Set one key as `--set key=value` says: the key is dotted, the value YAML, and null leaves the key out.

        Below `args` keys are those of a callable of the user's, which null is handed to.

        Raises:
            InputError: it is malformed, or its key lies below something that is no mapping.
        """
        key, equals, value = text.partition("=")
        *parents, last = key.split(".")
        if not equals or not all((*parents, last)):
            raise InputError("must read key=value", key="--set", value=text, suggestion="For example --set seed=1")
        try:
            parsed = parse_scalar(value)
        except InputError as error:
            raise InputError(f"the value {error.rule}", key="--set", value=text) from None
        leaves_out = parsed is None and ARGS not in parents
        if leaves_out:
            self._check_there([*parents, last], text)
        place: Any = self.raw
        for depth, parent in enumerate(parents):
            inner = {} if (found := _child(place, parent)) is None else found
            if not isinstance(inner, (dict, list)):
                above, below = ".".join(parents[: depth + 1]), ": {".join([*parents[depth + 1 :], last])
                hint = f"Set it whole: --set '{above}={{{below}: {value}}}'" + "}" * (len(parents) - depth - 1)
                rule = f"'{above}' is no mapping, so no key below it can be set"
                raise InputError(rule, key="--set", value=text, suggestion=hint)
            place = _put(place, parent, inner.copy(), text)  # a copy: an alias elsewhere in the file keeps its value
        if leaves_out and isinstance(place, dict):
            place.pop(last, None)
        else:
            _put(place, last, parsed, text)
        self._overrides[self.path_of(key)] = text

    def _check_there(self, keys: Sequence[str], text: str) -> None:
        """A key that is to be left out is there, each below the one before it."""
        place: Any = self.raw
        for depth, key in enumerate(keys):
            if not isinstance(place, dict):
                return  # a list, or what is no mapping, which is refused where keys are set
            if key not in place:
                rule = f"'{'.'.join(keys[: depth + 1])}' is not in the file, so it cannot be left out"
                raise InputError(rule, key="--set", value=text, suggestion=did_you_mean(key, place))
            place = place[key]

    def located(self, error: InputError) -> InputError:
        """The same error with its key as the file writes it, and with the file and the line of that key.

        An error about an absent key gets the line of the mapping that it is absent from; one about a value below the
        key (an item of its list), that value's.
        """
        if error.file:
            return error
        path = self.path_of(error.key) if error.key else ()
        error.key, error.file = ".".join(map(str, path)) or None, self.file
        if path:
            path += _place_of(error.value, self._at(path)) or ()
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._overrides:
                error.file = f"{self.file} with --set {self._overrides[path[:depth]]}"
                return error
        for given, text in self._overrides.items():
            if path and path not in self.lines and given[: len(path)] == path:  # what an override made on its way
                error.file = f"{self.file} with --set {text}"
                return error
        while path and path not in self.lines:
            path = path[:-1]
        error.line = self.lines.get(path)
        return error

    def path_of(self, key: str) -> Path_:
        """The path of a dotted key, without the parts that a shorthand leaves out."""
        place: Any = self.raw
        path: Path_ = ()
        left = key.split(".")
        while left:
            taken = 1
            if isinstance(place, dict):
                taken = next((n for n in range(len(left), 0, -1) if ".".join(left[:n]) in place), 1)
            name = ".".join(left[:taken])
            left = left[taken:]
            index = int(name) if name.isascii() and name.isdigit() else None
            if isinstance(place, list) and index is not None:
                path += (index,)
                place = place[index] if index < len(place) else _ABSENT
            elif isinstance(place, dict) and (name in place or index is None):
                path += (name,)
                place = place.get(name, _ABSENT)
            elif place is _ABSENT or not (name in SHORT or index is not None):
                path += (name,)
                place = _ABSENT
        return path

    def _at(self, path: Path_) -> Any:
        place: Any = self.raw
        for part in path:
            place = _child(place, part)
        return place


def _place_of(value: Any, place: Any) -> Path_ | None:
    """Where below `place` a value stands first; None when it does not."""
    children = place.items() if isinstance(place, dict) else enumerate(place) if isinstance(place, list) else ()
    for part, child in children:
        if child is value or same(child, value):
            return (part,)
        if (below := _place_of(value, child)) is not None:
            return (part, *below)
    return None


def _child(place: Any, part: str | int) -> Any:
    if isinstance(place, dict):
        return place.get(str(part))
    if isinstance(place, list) and str(part).isdecimal():
        return place[int(part)] if int(part) < len(place) else None
    return None


def _put(place: Any, part: str, value: Any, text: str) -> Any:
    if isinstance(place, list):
        if not (part.isdecimal() and int(part) < len(place)):
            rule = f"must name an item from 0 to {len(place) - 1}, not '{part}'"
            raise InputError(rule, key="--set", value=text)
        place[int(part)] = value
    else:
        place[part] = value
    return value
