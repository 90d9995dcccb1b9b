"""Kept row state: what is found again, what is believed, and what a broken disk costs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from raysweep.engine import row_store
from raysweep.engine.row_store import OVERHEAD, RowStore
from raysweep.engine.trajectory import TrajectoryId
from raysweep.methods.method import State
from raysweep.record import remote, sharing
from raysweep.record.checkouts import folder_at

ONE = TrajectoryId('{"lr": 0.1}', 7, range(5))


def state(number: float, dtype: torch.dtype = torch.float32, rows: int = 5) -> State:
    values = torch.arange(rows * 3).reshape(rows, 3) / 7 + number
    return {"params": values.to(dtype), "first": values.to(dtype) ** 2, "kept.response": values[:, 0].clone()}


def written(folder: Path, *steps: int, of: TrajectoryId = ONE, depends_on: str = "models") -> None:
    store = RowStore(folder, {"models": depends_on})
    for step in steps:
        store.put(of, step, state(step))
    store.settled().result()


def later(folder: Path, depends_on: str = "models", memory: int = 0) -> RowStore:
    """The store of another process."""
    return RowStore(folder, {"models": depends_on}, memory)


def the_file(folder: Path, step: int) -> Path:
    (found,) = folder.glob(f"*/{step:08d}.safetensors")
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_another_process_finds_the_same_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    first = RowStore(tmp_path)
    first.put(ONE, 10, state(0.1, dtype))
    first.settled().result()
    found = RowStore(tmp_path).nearest(ONE, 10)
    assert found is not None
    assert found.state.keys() == state(0.1, dtype).keys()
    assert all(torch.equal(found.state[name], value) for name, value in state(0.1, dtype).items())


@settings(max_examples=60)
@given(
    puts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=12),
    to=st.integers(1, 9),
    memory=st.sampled_from([0, 4 * OVERHEAD, 2**20]),
    again=st.booleans(),
)
def test_the_nearest_checkpoint_is_the_largest_at_or_below(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[int, int]], to: int, memory: int, again: bool
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    store = RowStore(folder, memory=memory)
    for which, step in puts:
        store.put(TrajectoryId(str(which), 7, range(5)), step, state(100 * which + step))
    store.settled().result()
    if again:
        store = RowStore(folder, memory=memory)
    for which in range(3):
        expected = max((step for other, step in puts if other == which and step <= to), default=None)
        found = store.nearest(TrajectoryId(str(which), 7, range(5)), to)
        assert (found.step if found else None) == expected
        if found is not None:
            assert torch.equal(found.state["params"], state(100 * which + found.step)["params"])
    assert store.bytes <= memory


def test_what_was_used_last_stays_in_memory(tmp_path: Path) -> None:
    size = sum(value.nbytes + OVERHEAD for value in state(0).values())
    store = RowStore(memory=2 * size)
    store.put(ONE, 1, state(1))
    store.put(ONE, 5, state(5))
    assert store.held(ONE, 4) is not None
    store.put(ONE, 9, state(9))
    assert [(found := store.held(ONE, to)) and found.step for to in (4, 8, 9)] == [1, 1, 9]
    assert store.bytes == 2 * size


@pytest.mark.parametrize(
    "other",
    [
        TrajectoryId('{"lr": 0.2}', 7, range(5)),
        TrajectoryId(ONE.key, 8, range(5)),
        TrajectoryId(ONE.key, 7, range(1, 6)),
    ],
)
def test_other_rows_are_not_found(tmp_path: Path, other: TrajectoryId) -> None:
    written(tmp_path, 10)
    assert later(tmp_path).nearest(other, 10) is None
    assert later(tmp_path).nearest(ONE, 9) is None


def test_rows_of_other_models_are_not_found(tmp_path: Path) -> None:
    written(tmp_path, 10)
    assert later(tmp_path, "others").nearest(ONE, 10) is None


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def say_nothing(file: Path) -> None:
    save_file(load_file(file), file)


def rename(file: Path) -> None:
    os.replace(the_file(file.parent.parent, 10), file)


def block(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [cut, flip, empty, say_nothing, rename, block])
def test_a_damaged_or_foreign_file_is_as_absent_and_said(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, 5, 10, 20)
    assert callable(damage)
    damage(the_file(tmp_path, 20))
    (the_file(tmp_path, 20).parent / "notes.txt").write_text("not ours")
    with caplog.at_level(logging.WARNING):
        found = later(tmp_path).nearest(ONE, 30)
    assert found is not None
    assert found.step == (5 if damage is rename else 10)
    assert "00000020.safetensors" in caplog.text


def test_two_hosts_may_write_the_same_checkpoint_at_once(tmp_path: Path) -> None:
    stores = [RowStore(tmp_path) for _ in range(4)]
    for step in range(1, 20):
        for store in stores:
            store.put(ONE, step, state(step))
    for store in stores:
        store.settled().result()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(file.name for file in files) == [f"{step:08d}.safetensors" for step in range(1, 20)]
    found = RowStore(tmp_path).nearest(ONE, 19)
    assert found is not None
    assert torch.equal(found.state["params"], state(19)["params"])


def test_a_folder_that_cannot_be_written_costs_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rows").write_text("a file where the folder should be")
    store = RowStore(tmp_path / "rows")
    with caplog.at_level(logging.WARNING):
        for step in (10, 20):
            store.put(ONE, step, state(step))
        store.settled().result()
    assert caplog.text.count("row state is not kept on disk") == 1
    found = store.nearest(ONE, 20)
    assert found is not None
    assert found.step == 20


def test_a_full_disk_costs_one_line_and_leaves_no_partial_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    store = RowStore(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        for step in (10, 20):
            store.put(ONE, step, state(step))
        store.settled().result()
    monkeypatch.undo()
    assert caplog.text.count("No space left on device") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    store.put(ONE, 30, state(30))
    store.settled().result()
    assert the_file(tmp_path, 30).exists()


def test_what_was_kept_in_passing_goes_when_the_next_state_is_written(tmp_path: Path) -> None:
    store = later(tmp_path)
    for step, passing in ((10, False), (13, True), (17, True)):
        store.put(ONE, step, state(step), passing)
    store.settled().result()
    assert [path.stem for path in sorted(tmp_path.rglob("*.safetensors"))] == ["00000010", "00000017"]
    found = later(tmp_path).nearest(ONE, 20)
    assert found is not None
    assert found.step == 17
    assert all(torch.equal(found.state[name], value) for name, value in state(17).items())
    store.put(ONE, 20, state(20))
    store.settled().result()
    assert [path.stem for path in sorted(tmp_path.rglob("*.safetensors"))] == ["00000010", "00000020"]


def test_what_an_ended_process_kept_in_passing_goes_too_and_its_milestones_stay(tmp_path: Path) -> None:
    store = later(tmp_path)
    for step, passing in ((10, False), (17, True)):
        store.put(ONE, step, state(step), passing)
    store.settled().result()
    for to, passing, left in ((23, True, [10, 23]), (30, False, [10, 30]), (40, False, [10, 30, 40])):
        another = later(tmp_path)
        assert another.nearest(ONE, to) is not None
        another.put(ONE, to, state(to), passing)
        another.settled().result()
        assert [int(path.stem) for path in sorted(tmp_path.rglob("*.safetensors"))] == left


def test_a_disk_slower_than_the_rows_costs_files_not_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(value.nbytes + OVERHEAD for value in state(0).values())
    monkeypatch.setattr(row_store, "UNWRITTEN", 2 * size)
    reader, writer = os.pipe()
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.read(reader, 1))
    store = RowStore(tmp_path, memory=0)
    for step in range(1, 10):
        store.put(ONE, step, state(step))
        assert store.bytes <= 2 * size
    os.write(writer, b"go")
    store.settled().result()
    os.close(reader)
    os.close(writer)
    assert sorted(path.name for path in tmp_path.rglob("*.safetensors")) == [f"0000000{n}.safetensors" for n in (1, 2)]
    assert caplog.text.count("slower than the rows") == 1


def test_a_url_that_does_not_answer_costs_steps_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(remote, "TRIES", 1)
    monkeypatch.setattr(sharing, "_OUTBOX", sharing._Outbox())
    folder = folder_at("http://127.0.0.1:9/runs/own")
    store = RowStore(folder, memory=0, elsewhere=sharing)
    store.put(ONE, 10, state(10))
    store.settled().result()
    assert "http://127.0.0.1:9/runs/own/" in caplog.text
    other = TrajectoryId("another", 0, range(5))
    assert store.nearest(other, 20) is None
    found = store.nearest(ONE, 20)
    assert found is not None
    assert found.step == 10
