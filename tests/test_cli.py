"""What the verbs print, and how they end when nobody reads it, or it cannot be written or read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.told_sweep import Sweep

CLI = (sys.executable, "-m", "raysweep.cli")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one trial of the quickstart is run."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ran(home: Path, jobs: Path) -> subprocess.CompletedProcess[str]:
    """That run, with --json."""
    sets = ("space.lr=0.1", "space.prior_weight=0.1", "space.steps=6", "examples=4", "hosts.cpus=1")
    command = [*CLI, "run", str(jobs / "quickstart.yaml"), "--storage", "runs", "--json"]
    command += [part for one in sets for part in ("--set", one)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_with_json_prints_json_alone_and_its_progress_on_standard_error(
    ran: subprocess.CompletedProcess[str],
) -> None:
    assert json.loads(ran.stdout)["number"] == 0
    data, features, numerics, noticed, ended = ran.stderr.splitlines()
    assert re.fullmatch(r"data: 10000 images \[1, 28, 28\] from 0 to 1; the classifier names \d\d of 64 as .*", data)
    assert features.startswith("response_fd: Fréchet distance in 1-D")
    assert numerics.startswith("numerics: ")
    assert noticed == "noticed: a silent node after 10 s, a silent host after 30 s, a step that hangs after 600 s"
    assert ended.startswith("[1/1] trial 0 done")


@pytest.mark.usefixtures("ran")
def test_explain_takes_a_sweeps_name_and_its_storage(home: Path) -> None:
    command = [*CLI, "explain", "quickstart", "--storage", "runs", "--examples", "2", "--out", "two"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 explanations in two")
    assert {path.name for path in (home / "two").iterdir()} == {"explanations.safetensors", "explanations.png"}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With a sweep whose trials fill several pipes."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # as on a user's machine
    sweep = Sweep(tmp_path / "mine")
    sweep.start(0)
    sweep.score(0, 0.5)
    sweep.end(0, "failed", "for a reason " * 20_000)
    yield tmp_path
    sweep.journal.close()


@pytest.mark.parametrize("verb", ["trials mine", "status"])  # much, which print meets, and a line, found at the end
@pytest.mark.parametrize("form", ["", "--json"])
def test_a_reader_that_has_enough_ends_a_verb_silently(storage: Path, verb: str, form: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*CLI, *verb.split(), "--storage", str(storage), *form.split()]
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("verb", ["trials mine", "status"])
def test_a_full_disk_ends_a_verb_with_one_line(storage: Path, verb: str) -> None:
    with open("/dev/full", "w") as full:
        command = [*CLI, *verb.split(), "--storage", str(storage)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "raysweep: No space left on device\n")


def test_a_file_that_cannot_be_read_ends_a_verb_with_one_line_that_names_it(storage: Path) -> None:
    log = storage / "mine" / "logs" / "driver.log"
    log.parent.mkdir()
    log.symlink_to("/proc/self/mem")  # a file that opens, and gives an error when it is read
    command = [*CLI, "logs", "mine", "--storage", str(storage)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "raysweep: Input/output error\n"
