"""The device that rows are stepped on, set up so that the same rows give the same numbers wherever and whenever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SLOTS = {"cpu": 16, "cuda": 512}
"""Rows of a lane, unless the sweep file says otherwise."""


def open_device(kind: str) -> torch.device:
    """The device "cpu" or "cuda" for this process.

    On CPUs torch gets one thread: a lane is a thread, and torch's own would fight over its core. On CUDA float32 is
    float32 (no TF32) and cuDNN keeps to deterministic kernels.
    """
    if kind == "cpu":
        torch.set_num_threads(1)
    else:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return torch.device(kind)


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, torch's allocator on the CPU, or Python had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text)


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, as on a host, in a process that is not ours alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
