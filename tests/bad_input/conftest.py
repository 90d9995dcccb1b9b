"""What all of these share: a user's folder, and what `raysweep` says of it once something in it is spoilt."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bad_input.own_files import SWEEP, Refusal, exit_code, write_files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder: networks with their weights, data, and a sweep file that holds."""
    write_files(tmp_path)
    return tmp_path


@pytest.fixture
def refusal(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """Run a command line that must be refused: its message, with paths as seen from the user's folder."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["raysweep", *arguments])
        before = set(home.rglob("*"))
        code = exit_code()
        out, error = capsys.readouterr()
        assert code == 2, error
        assert out == ""
        assert error.startswith("raysweep: ")
        assert "Traceback" not in error
        assert {path for path in home.rglob("*") if "__pycache__" not in path.parts} <= before
        ray = sys.modules.get("ray")
        assert ray is None or not ray.is_initialized()
        return error.removeprefix("raysweep: ").rstrip("\n")

    return run


@pytest.fixture(params=["check", "run"])
def changed(request: pytest.FixtureRequest, home: Path, refusal: Refusal) -> Refusal:
    """What `check` and `run` say of the sweep file when `old` is replaced by `new` in it."""

    def say(old: str, new: str, *options: str) -> str:
        assert old in SWEEP
        (home / "sweep.yaml").write_text(SWEEP.replace(old, new))
        return refusal(request.param, "sweep.yaml", *options)

    return say
