"""What lies at a URL: which are taken, and what one that fails, hangs or refuses costs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import InputError, StorageError
from raysweep.record import remote
from raysweep.record.driver import storage_folder
from raysweep.record.remote import Remote


@pytest.fixture
def there(tmp_path: Path) -> Remote:
    return Remote(f"file://{tmp_path}/bucket")


def spoil(there: Remote, how: Callable[[], Any]) -> list[str]:
    """Let every writing do something else; the paths that were to be written."""
    asked: list[str] = []

    def pipe_file(path: str, data: bytes) -> None:
        asked.append(path)
        how()

    there._files.pipe_file = pipe_file
    return asked


def raises(error: Exception) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture(autouse=True)
def untouched() -> Any:
    """fsspec keeps its file systems for whoever asks next."""
    yield
    import fsspec

    fsspec.implementations.local.LocalFileSystem.clear_instance_cache()


def test_what_was_put_is_found_again(there: Remote) -> None:
    there.put("mine/a", b"1")
    there.put("mine/b", b"2")
    assert there.names("mine") == ["a", "b"]
    assert there.get("mine/a") == b"1"
    assert there.get_all("mine", ["b", "a"]) == [b"2", b"1"]
    assert (there.get("mine/c"), there.names("yours"), there.get_all("mine", [])) == (None, [], [])


def test_a_hiccup_is_not_noticed(there: Remote) -> None:
    hiccup, fine = raises(OSError("reset by peer")), lambda: None
    moods = iter([hiccup, fine])
    asked = spoil(there, lambda: next(moods)())
    there.put("mine/a", b"1")
    assert (len(asked), there.silent) == (2, False)


def test_a_url_that_fails_again_and_again_is_silent_until_it_answers(
    there: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    asked = spoil(there, raises(OSError("no route to host")))
    with pytest.raises(StorageError, match=r"bucket/mine/a: cannot be written \(no route to host\)"):
        there.put("mine/a", b"1")
    assert len(asked) == remote.TRIES
    assert there.silent
    assert there.get("mine/a") is None
    assert not there.silent


def test_a_refusal_is_told_at_once_and_does_not_count_as_silence(there: Remote) -> None:
    asked = spoil(there, raises(PermissionError("Forbidden")))
    with pytest.raises(StorageError, match=r"cannot be written \(Forbidden\)"):
        there.put("mine/a", b"1")
    assert (len(asked), there.silent) == (1, False)


def test_a_url_that_hangs_is_left_to_itself(there: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    released = threading.Event()
    spoil(there, released.wait)
    with pytest.raises(StorageError, match=r"cannot be written \(no answer in 0 s\)"):
        there.put("mine/a", b"1")
    assert there.silent
    released.set()


def test_a_name_does_not_lead_out(there: Remote) -> None:
    with pytest.raises(StorageError, match="leads out of"):
        there.get("../sweep.yaml")


def test_a_url_that_fsspec_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match=r"--storage: must be a URL that fsspec can open \(found 'nope://x'\)"):
        storage_folder("nope://x")


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"found 'gs://x/runs'\)\. .*gcs.*: pip install 'fsspec\[gs\]'"):
        storage_folder("gs://x/runs")


@pytest.mark.parametrize("secret", ["hunter2", "hunter/2", "4711", "hun@ter:2"])
def test_a_password_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(InputError, match=r"--storage: must not hold a password \(found 'ftp://me:\*\*\*@host/x'\)"):
        storage_folder(f"ftp://me:{secret}@host/x")
