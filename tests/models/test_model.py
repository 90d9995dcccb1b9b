"""A fingerprint changes when, and only when, what the network computes can have changed."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from raysweep.models.model import fingerprint


def net(kernel: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, kernel, padding=kernel // 2), nn.BatchNorm2d(2))


def imported(folder: Path, body: str) -> ModuleType:
    (folder / "nets_f.py").write_text(body)
    sys.modules.pop("nets_f", None)
    linecache.clearcache()
    importlib.invalidate_caches()
    return importlib.import_module("nets_f")


def test_equal_networks_have_equal_fingerprints() -> None:
    assert fingerprint(net()) == fingerprint(net())


def test_weights_buffers_precision_and_structure_each_change_it() -> None:
    buffer = net()
    buffer[1].running_mean.add_(1)
    activated = nn.Sequential(*net(), nn.ReLU())
    sigmoid = nn.Sequential(*net(), nn.Sigmoid())
    prints = {fingerprint(m) for m in (net(), net(seed=1), buffer, net().double(), activated, sigmoid)}
    assert len(prints) == 6


def test_low_precision_and_scalar_tensors_are_hashed() -> None:
    assert fingerprint(net().bfloat16()) != fingerprint(net())


def test_an_edited_forward_changes_it_and_a_comment_or_docstring_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    body = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        {}return x{}\n"
    edits = [("", ""), ("'''As it is.'''; ", "  # as it is"), ("", " * 2")]
    plain, commented, edited = (fingerprint(imported(tmp_path, body.format(*edit)).Net()) for edit in edits)
    assert plain == commented
    assert plain != edited
