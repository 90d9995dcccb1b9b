"""YAML with its line numbers: safe loading, duplicate keys refused, `1e-3` read as the number it is."""

from __future__ import annotations

import re
from typing import Any

import yaml

from raysweep.errors import InputError

Path_ = tuple["str | int", ...]

MAX_DEPTH = 32
MAX_NODES = 100_000  # with every alias written out: a few lines of aliases of aliases would fill the memory
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)$|0x[0-9a-fA-F]+$")
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's numbers: no dates, no 1:30 for 90, no 017 for 15."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):  # `!!int x`, `!!bool maybe` …
            problem = f"{str(node.value)[:40]!r} is no {node.tag.rsplit(':', 1)[-1]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        if isinstance(value, int) and abs(value) >= 2**63:
            raise yaml.constructor.ConstructorError(None, None, "a whole number of more than 64 bits", node.start_mark)
        return value


_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")  # no sets, dates or bytes, which JSON cannot hold
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rsplit(":", 1)[-1] in _PLAIN
}
_REPLACED = ("float", "int", "timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))  # tried before floats
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, file: str | None = None) -> tuple[Any, dict[Path_, int]]:
    """The document and the line (from 1) of each of its keys and items, by path.

    Raises:
        InputError: not YAML, a key twice or no text, nesting without end, or a tag that safe loading refuses; with
            file and line.
    """
    lines: dict[Path_, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            _walk(node, (), lines, file)
            return loader.construct_document(node), lines  # type: ignore[no-untyped-call]
        finally:
            loader.dispose()  # type: ignore[no-untyped-call]
    except yaml.reader.ReaderError as error:
        rule = f"must be text, without the character #x{error.character:04x}"
        raise InputError(rule, file=file, line=text.count("\n", 0, error.position) + 1) from None
    except yaml.MarkedYAMLError as error:
        rule, line = _explained(error, text)
        raise InputError(f"is not valid YAML: {rule}", file=file, line=line) from None
    except RecursionError:
        raise InputError(f"must not be nested more than {MAX_DEPTH} deep", file=file, line=1) from None


def parse_scalar(text: str) -> Any:
    """A value as `--set` takes it: YAML, so numbers, lists and mappings work."""
    return parse_yaml(text)[0]


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[str, int | None]:
    """What is wrong, and in which line: of what is left open at the end of the file, the line where it was opened."""
    problem, context = str(error.problem or ""), str(error.context or "")
    mark = error.problem_mark or error.context_mark
    if "stream end" in problem or "end of stream" in problem:
        mark = error.context_mark or mark
        problem = f"it ends {context} that starts here" if context else problem
    elif "'\\t'" in problem:
        problem = "a tab; indent with spaces"
    elif context and not context.startswith("while"):
        problem = f"{context}, {problem}"
    last = text.rstrip().count("\n")  # what ends too early is not to be found in the blank lines after it
    return problem, min(mark.line, last) + 1 if mark else None


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: str | None) -> None:
    """Note the line of everything below `node`; keys are checked on the way."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        raise InputError(f"must not be nested more than {MAX_DEPTH} deep", key=str(path[0]), file=file, line=line)
    if len(lines) > MAX_NODES:
        raise InputError(f"must not have more than {MAX_NODES} values", file=file, line=line)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = _name(key, path, file)
            if (*path, name) in lines:
                raise _at_key(f"stands twice, first in line {lines[(*path, name)]}", (*path, name), file, key)
            lines[(*path, name)] = key.start_mark.line + 1
            _walk(value, (*path, name), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, file)


def _name(key: yaml.Node, path: Path_, file: str | None) -> str:
    if key.tag == _MERGE:
        raise _at_key("merge keys are not read; write the keys out", (*path, "<<"), file, key)
    if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
        shown = str(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
        raise _at_key(f"keys must be text, not {shown or 'nothing'}", path, file, key)
    return str(key.value)


def _at_key(rule: str, path: Path_, file: str | None, key: yaml.Node) -> InputError:
    return InputError(rule, key=".".join(map(str, path)) or None, file=file, line=key.start_mark.line + 1)
