"""The device that rows are stepped on, set up so that the same rows give the same numbers wherever and whenever."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h

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


def keep_freed_memory() -> None:
    """Let this process reuse the memory that it frees, instead of returning it to the system after every step.

    glibc maps large tensors anew each time, and fetching their pages can take longer than computing what is in them.
    Elsewhere than on glibc nothing is done.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option, size in ((_M_MMAP_THRESHOLD, 2**25), (_M_TRIM_THRESHOLD, 2**30), (_M_TOP_PAD, 2**26)):
            libc.mallopt(option, size)


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
