"""Status, logs and stop as lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.control import in_words, logs, status, stop, submitted_in_words
from raysweep.record.journal import Journal

ROW: dict[str, Any] = {
    "id": "mine",
    "state": "running",
    "started": 0.0,
    "trials": None,
    "best": None,
    "occupancy": None,
}


def test_a_rows_line_counts_trials_and_shows_the_best() -> None:
    best = {"number": 3, "objective": 0.25, "interval": [0.2, 0.31]}
    line = in_words({**ROW, "trials": {"done": 4, "running": 2, "planned": 1}, "best": best})
    assert line.startswith("mine  running")
    assert line.endswith("4 done, 3 in flight  best 0.25 [0.2, 0.31] (trial 3)")


def test_a_rows_line_says_how_full_the_lanes_were() -> None:
    assert in_words({**ROW, "occupancy": {"occupancy": 0.5, "shared": 0.0}}).endswith("lanes 50 % full")


def test_a_failed_jobs_line_ends_with_its_reason() -> None:
    assert in_words({**ROW, "state": "failed", "message": "no disk"}).endswith("no disk")


def test_a_duplicate_submission_says_so() -> None:
    row = {**ROW, "submitted": False, "unchecked": ["/shared/net.safetensors"]}
    first, second, _ = submitted_in_words(row, "http://head:8265").splitlines()
    assert "/shared/net.safetensors" in first
    assert second == "already running: mine"


def test_a_sweep_of_this_machine_has_a_status_a_log_and_nothing_to_stop(tmp_path: Path) -> None:
    with Journal(tmp_path / "mine", lambda event: None) as journal:
        journal.append("planned", number=0, key="k", config={"lr": 0.1}, target=5)
    (tmp_path / "mine" / "logs").mkdir()
    (tmp_path / "mine" / "logs" / "driver.log").write_text("hello\n", encoding="utf-8")
    assert [row["state"] for row in status(None, None, None, tmp_path)] == ["stopped"]
    pieces: list[str] = []
    logs("mine", None, tmp_path, True, pieces.append)
    assert pieces == ["hello\n"]
    assert not stop("mine", None, tmp_path)["stopped"]


def test_an_empty_storage_has_no_sweeps(tmp_path: Path) -> None:
    assert status(None, None, tmp_path / "nothing", Path("unused")) == []
