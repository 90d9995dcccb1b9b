"""What is checked before a sweep file leaves the user's machine; the address leads nowhere, so nothing can."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raysweep import submission
from raysweep.errors import InputError
from raysweep.submission import check_paths, is_uploaded, submit
from raysweep.sweepfile import load_sweep

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def sweep_file(tmp_path: Path, jobs: Path) -> Path:
    (tmp_path / "sweep").mkdir()
    path = tmp_path / "sweep" / "mine.yaml"
    path.write_text((jobs / "quickstart.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_a_network_that_cannot_run_is_found_before_the_cluster_is_asked(sweep_file: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml with --set target=sneeker: target") as caught:
        submit(sweep_file, NOWHERE, overrides=["target=sneeker"])
    assert "Did you mean 'sneaker'" in str(caught.value)


def test_storage_below_the_jobs_own_folder_is_refused(sweep_file: Path) -> None:
    with pytest.raises(InputError, match=r"--storage: must be absolute or start with ~/"):
        submit(sweep_file, NOWHERE, storage="raysweep-runs")


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("data=../images.npz", "data.source: must lie in the sweep file's folder"),
        ("models.judge={source: 'my_models:build', weights: prod.env}", "models.judge.weights: is never uploaded"),
        ("folder=..", "folder: must lie in the sweep file's folder"),
    ],
)
def test_a_file_that_would_not_be_uploaded_is_refused(sweep_file: Path, override: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        check_paths(load_sweep(sweep_file, [override]))


def test_an_absolute_path_of_the_cluster_is_not_looked_for_here(sweep_file: Path) -> None:
    file = load_sweep(sweep_file, ["data=/shared/of/the/cluster/images.npz"])
    assert check_paths(file) == [Path("/shared/of/the/cluster/images.npz")]


def test_a_folder_too_large_for_ray_is_refused(sweep_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "LIMIT", 2**20)
    big = sweep_file.parent / "raysweep-runs"
    big.mkdir()
    (big / "left-out.bin").write_bytes(bytes(2**20))
    submission.check_size(sweep_file.parent)
    (sweep_file.parent / "images.npz").write_bytes(bytes(2**20))
    with pytest.raises(InputError, match="at most 1 MiB"):
        submission.check_size(sweep_file.parent)


@pytest.mark.parametrize("name", ["my_models.py", "id_mapping.json", "net.safetensors", "environment.yaml"])
def test_a_users_own_files_are_uploaded(name: str) -> None:
    assert is_uploaded(Path("code") / name)


@pytest.mark.parametrize("name", [".env", "prod.env", ".env.local", "tls.key", "key.pem", "id_ed25519", "runs.db"])
def test_secrets_and_databases_are_not_uploaded(name: str) -> None:
    assert not is_uploaded(Path("code") / name)


def test_the_shipped_sweep_files_can_be_submitted(jobs: Path) -> None:
    for path in jobs.glob("*.yaml"):
        assert check_paths(load_sweep(path)) == []
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"]
