"""YAML with its line numbers: safe loading, duplicate keys refused, `1e-3` read as the number it is."""

from __future__ import annotations

import re
from typing import Any

import yaml

from raysweep.errors import InputError

Path_ = tuple["str | int", ...]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's floats."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)
for _first in "-+0123456789":  # integers are tried before floats
    _resolvers = _Loader.yaml_implicit_resolvers.get(_first, [])
    _resolvers.sort(key=lambda pair: pair[0].endswith("float"))


def parse_yaml(text: str, file: str | None = None) -> tuple[Any, dict[Path_, int]]:
    """The document and the line (from 1) of each of its keys and items, by path.

    Raises:
        InputError: not YAML, a key twice, or a tag that safe loading refuses; with file and line.
    """
    loader = _Loader(text)
    lines: dict[Path_, int] = {}
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        _walk(node, (), lines, file)
        return loader.construct_document(node), lines  # type: ignore[no-untyped-call]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        rule = f"is not valid YAML: {error.problem or error.context}"
        raise InputError(rule, file=file, line=mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"is not valid YAML: {str(error).splitlines()[0]}", file=file) from None
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def parse_scalar(text: str) -> Any:
    """A value as `--set` takes it: YAML, so numbers, lists and mappings work."""
    return parse_yaml(text)[0]


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: str | None) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in seen:
                raise InputError("stands twice", key=".".join(map(str, (*path, name))), file=file, line=line)
            seen.add(name)
            lines[(*path, name)] = line
            _walk(value, (*path, name), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, file)
