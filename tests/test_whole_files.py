"""Files written beside their place: nobody ever sees, or is left with, half of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from raysweep.whole_files import whole, whole_once, write_whole


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was written before."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


def refuse(*_: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_a_file_is_the_old_one_until_the_new_one_is_whole(path: Path) -> None:
    with whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("how", [whole, whole_once])
def test_what_could_not_be_written_leaves_nothing_and_changes_nothing(path: Path, how: Any) -> None:
    def write() -> None:
        with how(path) as partial:
            partial.write_text("ne")
            refuse()

    with pytest.raises(OSError, match="not permitted"):
        write()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_of_two_that_write_at_once_each_writes_its_own_and_the_last_one_stays(path: Path) -> None:
    with whole(path) as one:
        one.write_text("one")
        with whole(path) as other:
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"


def test_a_lasting_file_is_on_the_disk_before_it_has_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, str]] = []

    def sync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, path.read_text()))

    monkeypatch.setattr(os, "fsync", sync)
    with whole(path, lasting=True) as partial:
        partial.write_text("lasting")
    assert synced == [(len("lasting"), "old")]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_never_changes_is_that_of_the_first_to_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file.txt"
    with whole_once(path) as slow:
        slow.write_text("slow")
        with whole_once(path) as quick:
            quick.write_text("quick")
    assert path.read_text() == "quick"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_written_with_the_folder_that_they_need(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b", b"data")
    assert [file.read_bytes() for file in (tmp_path / "a").iterdir()] == [b"data"]
