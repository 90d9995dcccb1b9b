"""Sweep files gone wrong in any way are refused by name, or run: never a traceback."""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysweep.cli import main
from raysweep.errors import InputError
from raysweep.sweepfile import load_sweep

pytestmark = pytest.mark.faults
JOBS = sorted((Path(__file__).parent.parent / "jobs").glob("*.yaml"))
ODD = [None, True, False, 0, -1, 2, 1.5, 1e300, 2**62, 10**30, float("nan"), float("inf")]
ODD += ["", " ", "am", "1e-3", "zoo://", "zoo://fashion/test", "a:b", ".", "/", "x\0y", "é\u2028", "${HOME}", "%s{0}"]
ODD += [
    [],
    {},
    [[]],
    [None],
    [1, 1],
    [0.1, "a"],
    {"": 1},
    {"a": {"b": []}},
    {"choice": []},
    {"log": [0, 1]},
    {"name": 1},
]
QUICK = b"name: quickstart"
"""What only the quickstart says: its networks take no time to try."""
KEYS = ["name", "source", "class", "layer", "unit", "choice", "when", "latent", "trust", "weights", "args", "model"]
KEYS += ["search", "stop", "budget", "hosts", "mlflow", "folder", "precision", "concurrency", "seeed", "0", "", "é"]
BYTES = [b"\0", b"\t", b"\xff", b"\xef\xbb\xbf", b"[", b"}", b": ", b"- ", b"&a ", b"*a", b"!!python/name:os.system "]
BYTES += [b"%", b"'", b'"', b"|", b"\n---\n", b"\n...\n", b"\r", "\u2028".encode(), b"?", b"<<: ", b"#", b"\x1b[2J"]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything below `node`."""
    for part, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, part)
        yield from places(child, (*path, part))


def mutate(raw: Any, draw: st.DrawFn) -> None:
    """Delete, duplicate, rename, add or replace one thing in plain data."""
    *parents, last = draw(st.sampled_from(list(places(raw)) or [("name",)]))
    place = raw
    for part in parents:
        place = place[part]
    what = draw(st.sampled_from(["delete", "rename", "add", "replace", "retype", "move"]))
    if what == "delete" or last not in (place if isinstance(place, dict) else range(len(place))):
        del place[last]
    elif what == "rename" and isinstance(place, dict):
        place[draw(st.sampled_from([*KEYS, last[:-1], last + "s", last.upper()]))] = place.pop(last)
    elif what == "add" and isinstance(place, dict):
        place[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(st.sampled_from(ODD)))
    elif what == "retype":
        value = place[last]
        place[last] = draw(st.sampled_from([str(value), [value], {"choice": value}, {str(last): value}]))
    elif what == "move":
        raw[draw(st.sampled_from(KEYS))] = copy.deepcopy(place[last])
    else:
        place[last] = copy.deepcopy(draw(st.sampled_from(ODD)))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """The text of a shipped sweep file after a few accidents."""
    raw = yaml.safe_load(draw(st.sampled_from(JOBS)).read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(0, 2))):
        if raw:
            mutate(raw, draw)
    content = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).encode()
    for _ in range(draw(st.integers(0, 1))):
        at = draw(st.integers(0, len(content)))
        lines = content.splitlines(keepends=True) or [b""]
        line = draw(st.integers(0, len(lines) - 1))
        accident = draw(st.sampled_from(["bytes", "noise", "twice", "lost", "cut", "indent"]))
        if accident in ("bytes", "noise"):
            found = draw(st.sampled_from(BYTES) if accident == "bytes" else st.binary(min_size=1, max_size=8))
            content = content[:at] + found + content[at:]
        elif accident == "cut":
            content = content[:at]
        else:
            lines[line] = {"twice": lines[line] * 2, "lost": b"", "indent": b"  " + lines[line]}[accident]
            content = b"".join(lines)
    return content


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated") / "sweep.yaml"


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(content=files())
def test_a_mutated_sweep_file_holds_or_is_refused_by_its_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused = refusal(path)
    if refused is None and QUICK not in content:  # those of other jobs are run in tests of their own, which takes long
        return
    code, message = check(path)
    if refused is None:
        assert (code, bool(message)) in [(0, False), (2, True)]
    else:
        assert (code, message) == (2, f"raysweep: {refused}\n")
        assert all(line.startswith(f"{path}:") for line in refused.splitlines())


def refusal(path: Path) -> str | None:
    """What `load_sweep` says; None when the file holds."""
    try:
        load_sweep(path)
    except InputError as error:
        return str(error)
    return None


def check(path: Path) -> tuple[int, str]:
    """Exit code of `raysweep check` and what it says on standard error."""
    arguments, sys.argv = sys.argv, ["raysweep", "check", str(path)]
    error = io.StringIO()
    try:
        with redirect_stderr(error), redirect_stdout(io.StringIO()):
            main()
        return 0, error.getvalue()
    except SystemExit as stop:
        return int(stop.code or 0), error.getvalue()
    finally:
        sys.argv = arguments
