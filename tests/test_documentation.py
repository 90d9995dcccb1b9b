"""The documentation names every key that a sweep file may have, and its sweep files hold."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from raysweep.cli import app
from raysweep.document import Document
from raysweep.schema import ComparingSweep
from raysweep.sweepfile import check_sweep
from raysweep.zoo import COLLECTIONS

ROOT = Path(__file__).parent.parent


def keys(schema: Any) -> set[str]:
    """Every property and choice of a JSON schema, however deep."""
    if isinstance(schema, list):
        return set().union(*map(keys, schema))
    if not isinstance(schema, dict):
        return set()
    own = {*schema.get("properties", {}), *schema.get("enum", [])}
    return own.union(*map(keys, schema.values())) if schema else own


def test_every_key_and_choice_of_a_sweep_file_is_documented() -> None:
    text = (ROOT / "docs" / "sweep-file.md").read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    written = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert keys(ComparingSweep.model_json_schema(by_alias=True)) <= written


def test_every_network_and_data_set_of_the_zoo_is_documented() -> None:
    text = (ROOT / "docs" / "sweep-file.md").read_text(encoding="utf-8")
    for name in COLLECTIONS:
        collection = import_module(f"raysweep.zoo.{name}")
        (networks,) = re.findall(rf"`{name}` \((.*?)\)", text)
        assert {f"`{network}`" for network in collection.MODELS} <= set(re.findall("`[a-z_]+`", networks))
        assert all(f"`zoo://{name}/{data}`" in text for data in collection.DATA)


def test_the_readmes_own_sweep_file_holds() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert check_sweep(Document(yaml.safe_load(example)), ROOT).sweep.name == "mine"


def test_the_readme_names_every_verb() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, ["--help"]).output
    verbs = re.findall(r"^\s{2,}([a-z]+)\s{2,}", shown.split("Commands")[1], re.MULTILINE)
    assert len(verbs) >= 11
    assert {verb for verb in verbs if f"raysweep {verb}" not in text} == set()


def test_every_test_that_a_promise_names_is_there() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) >= 10
    missing = [test for file, test in named if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert missing == []
