"""What recipes write is whole, and what was measured of other parts stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.zoo.parts import command_line, rebuild, record_figures, save_weights, with_weights


def test_a_network_has_the_weights_that_another_wrote_and_learns_no_more(tmp_path: Path) -> None:
    one, file = nn.Linear(3, 2), tmp_path / "one.safetensors"
    save_weights({"weight": one.weight.mT.contiguous().mT, "bias": one.bias}, file)  # in memory column by column
    other = with_weights(nn.Linear(3, 2), file)
    assert torch.equal(other.weight, one.weight)
    assert not other.training
    assert not other.weight.requires_grad
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_figures_of_other_parts_stay(tmp_path: Path) -> None:
    record_figures(tmp_path, "data", {"images": 3})
    record_figures(tmp_path, "judge", {"accuracy": 0.5})
    known = record_figures(tmp_path, "judge", {"accuracy": 0.9})
    assert known == {"data": {"images": 3}, "judge": {"accuracy": 0.9}}
    assert json.loads((tmp_path / "figures.json").read_text()) == known
    with pytest.raises(TypeError):
        record_figures(tmp_path, "judge", {"accuracy": object()})
    assert json.loads((tmp_path / "figures.json").read_text()) == known


def test_the_card_is_drawn_once_all_parts_were_measured(tmp_path: Path) -> None:
    parts = {"data": lambda: {"images": 3}, "judge": lambda: {"accuracy": 0.5}}
    cards: list[dict[str, Any]] = []
    for only in (["data"], ["judge"], None):
        rebuild(parts, only, tmp_path, lambda known, file: cards.append({file.name: known}))
    assert cards == [{"CARD.md": {"data": {"images": 3}, "judge": {"accuracy": 0.5}}}] * 3


def test_a_recipe_that_does_not_know_a_part_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line("Rebuild it.\n\nSlowly.", ["data", "judge"]).parse_args(["--only", "judge"]).only == ["judge"]
    with pytest.raises(SystemExit):
        command_line("Rebuild it.", ["data", "judge"]).parse_args(["--only", "jugde"])
    assert "invalid choice: 'jugde' (choose from 'data', 'judge')" in capsys.readouterr().err
