"""Sweeps side by side, from journals as two sweeps leave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep import cli
from raysweep.comparison import Contender, comparison_sheet, shared_readings
from raysweep.errors import InputError
from raysweep.record.explanations import write_explanations
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.trial import Reading

RECOGNITION = {"recognition": 0.5, "recognition.low": 0.4, "recognition.high": 0.6}


def leave(storage: Path, name: str, method: str, objective: str, shade: float, **metrics: float) -> None:
    """Two trials of a sweep, the first better; their images are of one shade."""
    folder, ledger = storage / name, Ledger()
    with Journal(folder, ledger.apply) as journal:
        sweep = {"method": {"name": method}, "objective": [{"name": objective}]}
        journal.append("sweep", format=FORMAT, id="i", sweep=sweep, identity={}, versions={}, chapter={})
        journal.append("session", driver={}, about={"media": "image"})
        for number, steps in enumerate((50, 100)):
            file = f"explanations/{number}.safetensors"
            write_explanations(folder / file, {"explanation": np.full((3, 1, 28, 28), shade, dtype=np.float32)})
            journal.append("planned", number=number, key=f"k{number}", config={"lr": 0.1, "steps": steps}, target=steps)
            scored = {"objectives": {objective: [1.0 + number, 0.5, 2.5]}, "metrics": metrics, "explanations": file}
            journal.append("milestone", number=number, step=steps, **scored)
            journal.append("ended", number=number, state="done", reason=None)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    leave(tmp_path, "mine", "probegan", "seen_fd", 0.2, confidence=0.9, **RECOGNITION)
    leave(tmp_path, "other", "biggan_am", "classifier_loss", 0.4, **RECOGNITION)
    return tmp_path


def test_what_was_measured_of_all_is_told_with_its_intervals(storage: Path) -> None:
    mine, other = (Contender.named(name, storage) for name in ("mine", "other"))
    assert shared_readings([mine, other]) == ["recognition"]
    assert shared_readings([mine]) == ["seen_fd", "recognition", "confidence"]
    assert mine.readings["recognition"] == Reading(0.5, 0.4, 0.6)
    assert mine.readings["confidence"] == Reading(0.9)


def test_the_winner_is_meant_unless_a_trial_is_named(storage: Path) -> None:
    assert Contender.named("mine", storage).trial.number == 0
    assert [Contender.named(name, storage).name for name in ("mine", "mine:0", "mine:1")] == ["mine", "mine", "mine:1"]


@pytest.mark.parametrize("wanted", ["mine:7", "mine:x"])
def test_a_trial_that_is_not_there_is_refused_with_those_that_are(storage: Path, wanted: str) -> None:
    with pytest.raises(InputError, match=rf"scored: 0, 1 .*{wanted}"):
        Contender.named(wanted, storage)


def test_each_row_of_the_sheet_is_of_one_sweep(storage: Path) -> None:
    contenders = [Contender.named(name, storage) for name in ("mine", "other")]
    sheet = np.asarray(comparison_sheet(contenders, examples=2))
    halves = np.vsplit(sheet[: len(sheet) // 2 * 2], 2)
    found = [[int((half == shade).all(axis=2).sum()) for shade in (51, 102)] for half in halves]
    assert found == [[2 * 84 * 84, 0], [0, 2 * 84 * 84]]


def test_a_sweep_whose_pictures_are_gone_is_named(storage: Path) -> None:
    (storage / "other/explanations/0.safetensors").unlink()
    with pytest.raises(InputError, match=r"not there any more .*other"):
        comparison_sheet([Contender.named(name, storage) for name in ("mine", "other")], examples=2)


def test_the_command_prints_a_table_or_json_and_draws(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["raysweep", "compare", *words, "--storage", str(storage)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    sheet = storage / "out" / "sheet.png"
    table = call("mine", "other:1", "-o", str(sheet))
    assert "recognition" in table
    assert "0.5 [0.4, 0.6]" in table
    assert "seen_fd" not in table
    with Image.open(sheet) as drawn:
        assert drawn.height > 2 * 84
    assert "oracle" not in table
    rows = json.loads(call("mine", "other:1", "--json"))
    assert [row["oracle"] for row in rows] == [False, False]
    leave(storage, "looks", "probegan", "kid", 0.6, **RECOGNITION)
    assert "probegan (oracle)" in call("mine", "looks")
    assert json.loads(call("looks", "--json"))[0]["oracle"]
    assert [(row["sweep"], row["trial"], row["method"]) for row in rows] == [
        ("mine", 0, "probegan"),
        ("other", 1, "biggan_am"),
    ]
    assert rows[0]["measured"]["seen_fd"] == {"value": 1.0, "low": 0.5, "high": 2.5}
