"""Kept row state: every milestone's, so that a trial which comes later goes on from there instead of from step 0.

The states used last stay in memory, up to a bound. All are written to a folder, so that other hosts and later sessions
find them: `FOLDER/TRAJECTORY/STEP.safetensors`, where TRAJECTORY is a hash of all that the rows depend on. A file says
in its metadata what it is, and is believed only if that and its digest hold. Nothing here can change a result or fail a
trial: what is not kept, or not found, is stepped again. Each file is a milestone that an extended sweep may start from,
so none is ever removed, but for those that were kept in passing, between milestones; whoever needs the space may delete
the folder at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from raysweep.engine.trajectory import Checkpoint, TrajectoryId
from raysweep.errors import StorageError
from raysweep.methods.method import State
from raysweep.whole_files import whole

MEMORY = 32 * 2**20
"""Bytes of kept state that stay in memory, for what is asked again soon; the rest is read back from the folder."""
UNWRITTEN = 64 * 2**20
"""Bytes that may wait to be written; beyond, the disk is too slow and a state is not written."""
PASSING = {"passing": "1"}
"""What a file says beside the rest that was kept in passing."""
OVERHEAD = 1024
"""Bytes that a tensor takes beside its numbers, about."""

_FILE = re.compile(r"(\d+)\.safetensors")
_log = logging.getLogger("raysweep.rows")


class Elsewhere(Protocol):
    """Where files are kept as well, for other machines; `record.sharing` is one."""

    def share(self, path: Path) -> None:
        """Put a file there too."""

    def present(self, path: Path) -> bool:
        """Whether a file is here, brought if it was only there."""

    def listed(self, folder: Path) -> list[str]:
        """Names that a folder has there."""


@dataclass(eq=False)
class _Kept:
    state: State
    bytes: int
    unwritten: bool
    """It waits for the writer, and stays in memory until then."""


class RowStore:
    """Checkpoints by trajectory and step. Safe to call from several threads, and for several hosts on one folder.

    Args:
        folder: where they are written; None keeps them in memory only.
        depends_on: all that changes the rows' digits beside configuration, seed, example and step, in plain data.
        memory: bytes that stay in memory.
        elsewhere: keeps the files of the folder for other machines.
    """

    def __init__(
        self,
        folder: Path | None = None,
        depends_on: Mapping[str, Any] | None = None,
        memory: int = MEMORY,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._folder, self._depends_on, self._memory = folder, dict(depends_on or {}), memory
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[TrajectoryId, int], _Kept] = OrderedDict()
        self._steps: dict[TrajectoryId, set[int]] = {}
        self._passing: dict[TrajectoryId, int] = {}
        """The step at which each was last kept in passing."""
        self._bytes = self._unwritten = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows")
        self._complained = False

    @property
    def bytes(self) -> int:
        """What is in memory now."""
        return self._bytes

    def put(self, of: TrajectoryId, step: int, state: State, passing: bool = False) -> None:
        """Keep a state that nobody changes any more; returns at once, a thread of the store's own writes it.

        Args:
            passing: it is no milestone, and is worth keeping until the trajectory's next state is written; on this
                machine or what it shares a folder with only.
        """
        size = sum(value.nbytes + OVERHEAD for value in state.values())
        with self._lock:
            before = self._passing.pop(of, None)
            if passing:
                self._passing[of] = step
            if before is not None and (of, before) in self._kept and not self._kept[of, before].unwritten:
                self._drop(of, before)
            room = not self._unwritten or self._unwritten + size <= UNWRITTEN
            kept = _Kept(state, size, unwritten=self._folder is not None and room)
            self._insert(of, step, kept)
            if kept.unwritten:
                self._unwritten += size
                self._writer.submit(self._write, of, step, kept, passing, None if before == step else before)
        if not room:
            self._complain("the disk is slower than the rows")

    def held(self, of: TrajectoryId, to: int) -> Checkpoint | None:
        """The largest checkpoint at or below `to` that is in memory."""
        with self._lock:
            step = max((step for step in self._steps.get(of, ()) if step <= to), default=None)
            if step is None:
                return None
            self._kept.move_to_end((of, step))
            return Checkpoint(step, self._kept[of, step].state)

    def nearest(self, of: TrajectoryId, to: int) -> Checkpoint | None:
        """The largest checkpoint at or below `to`, in memory or in the folder, which may take a while."""
        held = self.held(of, to)
        above = held.step if held else 0
        for step in sorted((step for step in self._written(of) if above < step <= to), reverse=True):
            found = self._read(of, step)
            if found is not None:
                state, passing = found
                size = sum(value.nbytes + OVERHEAD for value in state.values())
                with self._lock:
                    if passing:  # of a process that was ended: it goes when the next state is written, as one's own
                        self._passing.setdefault(of, step)
                    self._insert(of, step, _Kept(state, size, unwritten=False))
                return Checkpoint(step, state)
        return held

    def settled(self) -> Future[None]:
        """Done when everything put before is written, or given up."""
        return self._writer.submit(lambda: None)

    def _insert(self, of: TrajectoryId, step: int, kept: _Kept) -> None:
        if (of, step) in self._kept:
            self._drop(of, step)
        self._kept[of, step] = kept
        self._steps.setdefault(of, set()).add(step)
        self._bytes += kept.bytes
        self._trim()

    def _trim(self) -> None:
        while self._bytes > self._memory:
            oldest = next((name for name, kept in self._kept.items() if not kept.unwritten), None)
            if oldest is None:
                return
            self._drop(*oldest)

    def _drop(self, of: TrajectoryId, step: int) -> None:
        self._bytes -= self._kept.pop((of, step)).bytes
        self._steps[of].discard(step)
        if not self._steps[of]:
            del self._steps[of]

    def _written(self, of: TrajectoryId) -> list[int]:
        """Steps that the folder has a file for, whatever that holds."""
        if self._folder is None:
            return []
        folder = self._path(of, 0).parent
        names: set[str] = set()
        with suppress(OSError):
            names.update(os.listdir(folder))
        with suppress(StorageError):
            names.update(self._elsewhere.listed(folder) if self._elsewhere else ())
        return [int(found[1]) for found in map(_FILE.fullmatch, names) if found]

    def _write(self, of: TrajectoryId, step: int, kept: _Kept, passing: bool, before: int | None) -> None:
        """In the writer's thread; a second file of the same name is the same. What was kept `before` may go then."""
        path = self._path(of, step)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path, lasting=True) as partial:
                said = self._metadata(of, step, kept.state) | (PASSING if passing else {})
                partial.write_bytes(save(kept.state, said))
            if self._elsewhere is not None and not passing:
                self._elsewhere.share(path)
            if before is not None:
                self._path(of, before).unlink(missing_ok=True)
        except Exception as error:
            self._complain(str(error))
        finally:
            with self._lock:
                kept.unwritten = False
                self._unwritten -= kept.bytes
                self._trim()

    def _read(self, of: TrajectoryId, step: int) -> tuple[State, bool] | None:
        """A file's state, and whether it was kept in passing."""
        path = self._path(of, step)
        try:
            if self._elsewhere is not None:
                self._elsewhere.present(path)
            data = path.read_bytes()
            state: State = load(data)
            said = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
        except FileNotFoundError:
            return None
        except (OSError, StorageError, SafetensorError, ValueError) as error:
            _log.warning("%s cannot be read, its steps are made again (%s)", path, error)
            return None
        passing = PASSING.items() <= said.items()
        if said != self._metadata(of, step, state) | (PASSING if passing else {}):
            _log.warning("%s is damaged or not what its name says, its steps are made again", path)
            return None
        return state, passing

    def _path(self, of: TrajectoryId, step: int) -> Path:
        assert self._folder is not None
        trajectory = hashlib.sha256(self._describe(of).encode()).hexdigest()[:32]
        return self._folder / trajectory / f"{step:08d}.safetensors"

    def _metadata(self, of: TrajectoryId, step: int, state: State) -> dict[str, str]:
        return {"rows": "1", "trajectory": self._describe(of), "step": str(step), "digest": _digest(state)}

    def _describe(self, of: TrajectoryId) -> str:
        examples = [of.examples.start, of.examples.stop, of.examples.step]
        rows = {"key": of.key, "seed": of.seed, "examples": examples, "depends_on": self._depends_on}
        return json.dumps(rows, sort_keys=True)

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("row state is not kept on disk (%s); a later trial may make steps again", reason)


def _digest(state: State) -> str:
    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        found.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
