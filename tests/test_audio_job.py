"""ProbeGAN over voices at a much reduced scale, through Ray and MLflow: what comes out is heard at its data's rate."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from raysweep.data.audio import VOCAL, MelSpec
from raysweep.outcome import SweepResult
from raysweep.preflight import check_workload
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import pack_champion, write_best, write_explanations_to, write_sweep_report

SMALL = (
    "examples=6",
    "space.classifier=regular",
    "space.width=1",
    "space.steps=2",
    "space.batch=4",
    "space.ema_start=1",
    "space.discriminator_steps=1",
    "hosts.cpus=1",
)
RATE, LONG = 8000, 31 * 250


def heard(file: Path) -> tuple[int, int, float]:
    """Rate, samples and deviation of a WAV file."""
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        return sound.getframerate(), len(samples), float(samples.std())


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / "probegan-audio.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def test_the_job_as_it_is_passes_its_check(jobs: Path) -> None:
    workload = check_workload(load_sweep(jobs / "probegan-audio.yaml"))
    assert workload.mel == MelSpec(8000, 512, 250, 32, 60.0, 3700.0)
    assert set(workload.classifiers) == {"regular", "robust"}


def test_the_winners_sounds_are_written_at_the_rate_and_length_of_the_data(result: SweepResult, tmp_path: Path) -> None:
    best = write_best(result, tmp_path / "best.yaml")
    found = write_explanations_to(best, 5, 0, tmp_path / "out")
    assert str(tmp_path / "out/explanations.wav") in found["files"]
    rate, samples, deviation = heard(tmp_path / "out/explanations.wav")
    assert (rate, samples) == (RATE, 4 * LONG + 3 * RATE // 4)
    assert deviation > 100
    champion = pack_champion(result, tmp_path / "champion")
    write_explanations_to(champion / "best.yaml", 2, 0, tmp_path / "again")
    assert heard(tmp_path / "again/explanations.wav")[:2] == (RATE, 2 * LONG + RATE // 4)


def test_the_report_plays_and_draws_what_was_made(result: SweepResult) -> None:
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert "data:audio/wav;base64," in page
    assert result.ledger.mel is not None
    assert MelSpec.of(np.array(result.ledger.mel), "mel") != VOCAL
    assert {"target_fd", "fd.women", "fd.men", "recognition"} <= set(result.best.result.metrics)  # type: ignore[union-attr]
