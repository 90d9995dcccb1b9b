"""What is said of a winner when not all that the trials left can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.errors import StorageError
from raysweep.outcome import SweepResult
from raysweep.record.explanations import write_explanations
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.winner import best_text
from raysweep.words import print_winner


@pytest.fixture
def result(tmp_path: Path) -> SweepResult:
    """Two trials, of which the second is better."""
    ledger, folder = Ledger(), tmp_path / "mine"
    with Journal(folder, ledger.apply) as journal:
        sweep = {"objective": [{"name": "response_fd"}]}
        journal.append("sweep", format=FORMAT, id="i", sweep=sweep, identity={}, versions={}, chapter={})
        for number, value in enumerate([0.3, 0.2]):
            file = f"explanations/k{number}-5.safetensors"
            write_explanations(folder / file, {"replicates.response_fd": np.full(10, value)})
            journal.append("planned", number=number, key=f"k{number}", config={"lr": value}, target=5)
            scored = {"objectives": {"response_fd": [value, value, value]}, "metrics": {}, "explanations": file}
            journal.append("milestone", number=number, step=5, **scored)
            journal.append("ended", number=number, state="done", reason=None)
    return SweepResult("mine", folder, ledger)


def test_the_winner_is_the_best_with_a_probability(result: SweepResult) -> None:
    assert result.probability == {0: 0.0, 1: 1.0}
    assert result.summary()["best.probability"] == 1.0


def test_a_winner_of_a_sweep_that_was_interrupted_is_the_best_so_far(
    result: SweepResult, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = result.best_json()
    ledger = Ledger()
    with Journal(result.folder, ledger.apply) as journal:
        for number in (2, 3):
            journal.append("planned", number=number, key=f"k{number}", config={"lr": 1.0 + number}, target=5)
    part = SweepResult("mine", result.folder, ledger).best_json()
    assert whole is not None
    assert part is not None
    assert (whole["unfinished"], part["unfinished"]) == (0, 2)
    print_winner(whole, ["response_fd"])
    assert "so far" not in capsys.readouterr().out
    print_winner(part, ["response_fd"])
    assert "  so far: 2 more trials have started and not ended\n" in capsys.readouterr().out


@pytest.mark.parametrize(("method", "objective"), [("probegan", "feature_fd"), ("probegan_oracle", "seen_fd")])
def test_a_winner_that_was_found_by_the_target_s_real_samples_is_called_an_oracle(
    result: SweepResult, capsys: pytest.CaptureFixture[str], method: str, objective: str
) -> None:
    found = result.best_json()
    assert found is not None
    assert found["oracle"] is False
    print_winner(found, ["response_fd"])
    assert "oracle" not in capsys.readouterr().out
    result.ledger.sweep = {"method": {"name": method}, "objective": [{"name": "response_fd"}, {"name": objective}]}
    assert result.oracle
    print_winner({**found, "oracle": result.oracle}, ["response_fd"])
    assert "an oracle: real samples of the target class were looked at" in capsys.readouterr().out
    assert ", an oracle\n" in best_text(result, {})


def test_no_probability_is_told_when_another_trials_replicates_are_gone(result: SweepResult) -> None:
    (result.folder / "explanations/k0-5.safetensors").unlink()
    assert result.probability == {}
    assert result.summary() == {"trials.done": 2.0, "trials.pruned": 0.0, "trials.failed": 0.0, "best.objective": 0.2}


def test_a_sweep_ends_also_when_explanations_cannot_be_read(result: SweepResult) -> None:
    (result.folder / "explanations/k0-5.safetensors").write_bytes(b"torn")
    with pytest.raises(StorageError, match="the explanations cannot be read"):
        result.best_json()
    assert "best.probability" not in result.summary()
