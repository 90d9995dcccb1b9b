"""What is made of a winner works for a stranger: elsewhere, without the folder that it was found in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

import raysweep
from raysweep.champion import carry
from raysweep.data.load import load_data
from raysweep.data.spectrum import spectrum
from raysweep.errors import InputError
from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.record.explanations import read_explanations, write_explanations
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.mlflow_recorder import MlflowRecorder
from raysweep.record.store import local_store, open_client
from raysweep.sweepfile import load_sweep
from raysweep.winner import pack_champion, register_winner, write_best, write_explanations_to, write_sweep_report
from raysweep.words import print_best, print_explained

SHAPES = """
import json
from pathlib import Path

from torch import nn

import scaling
from shapes.parts.layers import widened

SIZES = json.loads(Path(__file__).with_name("sizes.json").read_text())


def generator():
    return nn.Sequential(nn.Linear(4, SIZES["pixels"]), nn.Sigmoid(), nn.Unflatten(1, (1, 6, 6)))


def classifier():
    return nn.Sequential(nn.Flatten(), widened(SIZES["pixels"]), nn.Tanh(), nn.Linear(8, 3), scaling.Scaled())
"""
LAYERS = "from torch import nn\n\n\ndef widened(pixels):\n    return nn.Linear(pixels, 8)\n"
SCALING = "from torch import nn\n\n\nclass Scaled(nn.Module):\n    def forward(self, x):\n        return 3 * x\n"
ZOO = {"models": {"generator": "zoo://fashion/generator", "classifier": "zoo://fashion/classifier"}}
SECRETS = (".env", "key.pem", "shapes/.env", "shapes/.git/config", "shapes/__pycache__/x.pyc", "notes.txt")


@dataclass
class Case:
    """A sweep of the user's own networks and data, before it is run."""

    home: Path
    elsewhere: Path
    storage: Path
    keys: dict[str, object]

    def finished(self, **changes: object) -> SweepResult:
        """The sweep with one finished trial, as its journal has it."""
        return finished(self.home, self.storage, {**self.keys, **changes})

    def masks(self) -> SweepResult:
        """A sweep of masks over parts that the user names, on the same data."""
        np.save(self.home / "parts.npy", np.arange(36).reshape(1, 6, 6) // 6)
        config = {"lr": 0.1, "sparsity_weight": 0.01, "steps": 5}
        keys = {**self.keys, "models": {"classifier": self.keys["models"]["classifier"]}, "objective": "distortion"}
        method = {"name": "rde", "components": "parts.npy", "fill": "mean"}
        return finished(self.home, self.storage, {**keys, "method": method, "space": config}, config=config)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Networks from a package beside the sweep file, weights by an absolute path and above the folder, own classes."""
    home, elsewhere = tmp_path / "project" / "sweeps", tmp_path / "elsewhere"
    elsewhere.mkdir()
    sources = {"shapes/models.py": SHAPES, "shapes/parts/layers.py": LAYERS, "scaling.py": SCALING}
    sources |= {"shapes/__init__.py": "", "shapes/sizes.json": '{"pixels": 36}', **dict.fromkeys(SECRETS, "secret")}
    for name, text in sources.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    random = torch.Generator().manual_seed(5)
    sizes = {"0": (36, 4)}, {"1": (8, 36), "3": (3, 8)}
    for path, layers in zip((elsewhere / "net.safetensors", home.parent / "net.safetensors"), sizes, strict=True):
        tensors = {f"{layer}.weight": torch.randn(size, generator=random) for layer, size in layers.items()}
        save_file(tensors | {f"{layer}.bias": torch.zeros(size[0]) for layer, size in layers.items()}, path)
    x = np.random.default_rng(0).random((12, 1, 6, 6), dtype=np.float32)
    np.savez(home / "seen.npz", x=x, y=np.arange(12) % 3, classes=["ring", "disc", "cross"])
    generator = {"source": "shapes.models:generator", "weights": str(elsewhere / "net.safetensors")}
    classifier = {"source": "shapes.models:classifier", "weights": "../net.safetensors"}
    keys = {"models": {"generator": generator, "classifier": classifier}, "data": "seen.npz", "target": "disc"}
    return Case(home, elsewhere, tmp_path / "storage", keys)


AM = {"lr": 0.1, "prior_weight": 0.01, "steps": 5}


def finished(
    home: Path, storage: Path, keys: dict[str, object], state: str = "done", config: dict[str, float] = AM
) -> SweepResult:
    known = {"name": "shapes", "method": "am", "examples": 4, "objective": "response_fd", "seed": 3}
    space = {"lr": {"choice": [0.1, 0.2]}, "prior_weight": {"choice": [0.01]}, "steps": {"choice": [5]}}
    home.mkdir(parents=True, exist_ok=True)
    (home / "sweep.yaml").write_text(yaml.safe_dump({**known, "space": space, **keys}))
    sweep = load_sweep(home / "sweep.yaml").sweep
    folder = storage / sweep.name
    ledger = Ledger()
    with Journal(folder, ledger.apply) as journal:
        about = {"home": str(home), "media": "image", "objectives": ["response_fd: in words"]}
        journal.append("sweep", format=FORMAT, id="s1", sweep=sweep.plain(), identity={}, versions={}, chapter={})
        journal.append("session", driver={}, about=about)
        journal.append("numerics", numerics={"precision": "float32", "slots": 16, "device": "cpu", "threads": 1})
        journal.append("planned", number=0, key="k0", config=config, target=5)
        scores = {"response_fd": [1.0, 0.5, 1.5]}
        journal.append("milestone", number=0, step=5, objectives=scores, metrics={}, explanations=None)
        journal.append("ended", number=0, state=state, reason=None if state == "done" else "it was told to fail")
        recorder = MlflowRecorder(None, sweep.name, "s1", None, folder)
        recorder.open_sweep()
        journal.append("run", number=0, run=recorder.record(ledger.trials[0]))
    return SweepResult.load(sweep.name, storage)


def predicted(uri: str, name: str, folder: Path) -> dict[str, np.ndarray]:
    """What the champion gives to somebody who has only MLflow's store: another process in another folder."""
    code = (
        "import sys, mlflow, numpy as np\n"
        "mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])\n"
        "champion = mlflow.pyfunc.load_model(f'models:/{sys.argv[2]}@champion')\n"
        "np.savez(sys.argv[3], **champion.predict({'examples': 3, 'first_example': 1}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(raysweep.__file__).parents[1])}
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", code, uri, name, str(folder / "found.npz")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


def test_a_champion_of_the_users_own_package_weights_and_data_predicts_after_all_of_them_are_gone(
    case: Case, tmp_path: Path
) -> None:
    name = "n" * 100  # the longest that a sweep may have
    result = case.finished(name=name, hosts={"gpus": 1})
    known = explain(write_best(result, tmp_path / "best.yaml"), 3, 1)
    uri = local_store(case.storage)
    assert register_winner(result, uri) == "1"
    assert register_winner(result, uri) == "1"
    shutil.rmtree(case.home.parent)
    shutil.rmtree(case.elsewhere)
    found = predicted(uri, name, tmp_path / "far away")
    assert set(found) == {"explanation", "latent", "response"}
    for part, value in known.items():
        np.testing.assert_array_equal(found[part], value)
    assert len(np.unique(found["response"])) == 3


def test_a_champion_holds_the_users_code_and_no_secrets_caches_or_data(case: Case, tmp_path: Path) -> None:
    folder = pack_champion(case.finished(), tmp_path / "champion")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    weights = {"files/0-net.safetensors", "files/1-net.safetensors"}
    package = {"shapes/__init__.py", "shapes/models.py", "shapes/parts/layers.py", "shapes/sizes.json"}
    assert files == {"best.yaml", "scaling.py", "files/classes-of-data.npz", *weights, *package}
    assert np.ptp(np.load(folder / "files" / "classes-of-data.npz")["x"].reshape(2, -1), axis=1).tolist() == [0, 0]


def test_a_package_without_an_init_file_is_carried_too(case: Case, tmp_path: Path) -> None:
    (case.home / "shapes" / "__init__.py").unlink()
    (case.home / "shapes" / "models.py").write_text(SHAPES.replace("json.loads(Path(__file__)", '{"pixels": 36} #'))
    folder = pack_champion(case.finished(), tmp_path / "champion")
    assert (folder / "shapes" / "parts" / "layers.py").is_file()
    assert len(explain(folder / "best.yaml", 2)["response"]) == 2


def test_data_in_a_folder_of_class_folders_is_not_needed_to_explain(case: Case, tmp_path: Path) -> None:
    for name in ("cross", "disc", "ring"):
        (case.home / "drawn" / name).mkdir(parents=True)
        Image.new("L", (6, 6), 90).save(case.home / "drawn" / name / "0.png")
    result = case.finished(data="drawn")
    known = explain(write_best(result, tmp_path / "best.yaml"), 2)
    folder = pack_champion(result, tmp_path / "champion")
    shutil.rmtree(case.home.parent)
    np.testing.assert_array_equal(explain(folder / "best.yaml", 2)["response"], known["response"])
    assert yaml.safe_load((folder / "best.yaml").read_text())["target"] == {"class": "disc"}
    found = write_explanations_to(folder / "best.yaml", 2, 0, tmp_path / "out")
    assert [Path(file).name for file in found["files"]] == ["explanations.safetensors", "explanations.png"]


def test_a_champion_that_explains_samples_brings_them_and_the_parts_along(case: Case, tmp_path: Path) -> None:
    result = case.masks()
    known = explain(write_best(result, tmp_path / "best.yaml"), 4)
    folder = pack_champion(result, tmp_path / "champion")
    shutil.rmtree(case.home.parent)
    found = explain(folder / "best.yaml", 4)
    assert {"explanation", "mask", "sample", "curve", "distortion", "sparsity"} <= set(found)
    for part, value in known.items():
        np.testing.assert_array_equal(found[part], value)
    shown = write_explanations_to(folder / "best.yaml", 2, 0, tmp_path / "out")
    assert shown["distortion"] == pytest.approx(known["distortion"][:2].mean())


def test_a_champion_that_explains_notes_brings_their_sounds_along(tmp_path: Path) -> None:
    known = load_data("zoo://notes/test")
    (tmp_path / "home").mkdir()
    np.savez(
        tmp_path / "home" / "notes.npz", x=known.x[:3], y=known.y[:3], classes=known.classes, waves=known.waves[:2]
    )
    data = {"source": "notes.npz", "media": "spectrum"}
    document = {"models": {}, "method": {"name": "rde", "components": "elements"}, "data": data}
    carried = carry(document, "spectrum", tmp_path / "home", tmp_path / "champion")["data"]
    found = load_data(carried["source"], folder=tmp_path / "champion", media=carried["media"])
    np.testing.assert_array_equal(found.waves, known.waves[:2])
    assert found.fingerprint == load_data("notes.npz", folder=tmp_path / "home", media="spectrum").fingerprint


def test_a_champion_with_an_expert_brings_its_file_and_the_samples_that_inputs_start_from(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    x = np.random.default_rng(0).random((5, 1, 4, 4), dtype=np.float32)
    np.savez(home / "images.npz", x=x, y=np.arange(5) % 2, classes=["dot", "ring"])
    (home / "density.ts").write_bytes(b"a density")
    expert = {"source": "density.ts", "trust": "torchscript"}
    document = {"models": {"expert": expert}, "method": {"name": "am_expert"}, "data": {"source": "images.npz"}}
    found = carry(document, "image", home, tmp_path / "champion")
    assert (tmp_path / "champion" / found["models"]["expert"]["source"]).read_bytes() == b"a density"
    carried = load_data(found["data"]["source"], folder=tmp_path / "champion", media=found["data"]["media"])
    np.testing.assert_array_equal(carried.x, x)


def test_more_examples_than_there_are_samples_are_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="examples: must be at most 4: the data have no more samples of 'disc'"):
        explain(write_best(case.masks(), tmp_path / "best.yaml"), 5)


def test_champions_whose_packages_have_one_name_keep_their_own_code_in_one_process(case: Case, tmp_path: Path) -> None:
    first = pack_champion(case.finished(), tmp_path / "first")
    second = shutil.copytree(first, tmp_path / "second")
    (second / "scaling.py").write_text(SCALING.replace("3 * x", "-3 * x"))
    one, other = (explain(folder / "best.yaml", 2, 0)["response"] for folder in (first, second))
    assert np.abs(one - other).min() > 1e-3
    np.testing.assert_array_equal(explain(first / "best.yaml", 2)["response"], one)


def test_networks_that_do_not_fit_each_other_are_refused_before_explaining(case: Case, tmp_path: Path) -> None:
    folder = pack_champion(case.finished(), tmp_path / "champion")
    best = yaml.safe_load((folder / "best.yaml").read_text())
    odd = {**best, "models": {**best["models"], "generator": ZOO["models"]["generator"]}}
    (folder / "best.yaml").write_text(yaml.safe_dump(odd))
    with pytest.raises(InputError, match="must be what the classifier takes"):
        explain(folder / "best.yaml", 2)


def test_networks_that_mix_rows_are_refused_before_explaining(case: Case, tmp_path: Path) -> None:
    folder = pack_champion(case.finished(), tmp_path / "champion")
    (folder / "scaling.py").write_text(SCALING.replace("3 * x", "x - x.mean(0)"))
    with pytest.raises(InputError, match="must not depend on the other rows"):
        explain(folder / "best.yaml", 2)


@pytest.fixture
def result(tmp_path: Path) -> SweepResult:
    """A finished sweep of the zoo."""
    return finished(tmp_path / "home", tmp_path / "storage", {**ZOO, "data": "zoo://fashion/test", "target": "sneaker"})


def test_mlflows_ui_comes_next_only_where_its_store_is_in_the_storage(
    result: SweepResult, capsys: pytest.CaptureFixture[str]
) -> None:
    store = result.folder.parent / "mlflow.db"
    for there in (True, False):
        store.touch() if there else store.unlink()
        print_best(result, " --storage x")
        assert ("raysweep ui --storage x" in capsys.readouterr().out) is there


def test_outputs_make_the_folders_that_they_lie_in(result: SweepResult, tmp_path: Path) -> None:
    best = write_best(result, tmp_path / "new" / "a" / "best.yaml")
    report = write_sweep_report(result, tmp_path / "new" / "b" / "report.html")
    found = write_explanations_to(best, 2, 0, tmp_path / "new" / "c" / "d")
    assert len(read_explanations(Path(found["files"][0]))["explanation"]) == 2
    assert "response_fd: in words" in report.read_text(encoding="utf-8")


def test_outputs_that_cannot_be_written_are_an_error_of_the_option_with_the_reason(
    result: SweepResult, tmp_path: Path
) -> None:
    best = write_best(result, tmp_path / "best.yaml")
    file = tmp_path / "file"
    file.write_text("in the way")
    for write, option in (
        (lambda: write_best(result, file / "best.yaml"), "-o"),
        (lambda: write_best(result, tmp_path), "-o"),
        (lambda: write_best(result, tmp_path / f"{'n' * 300}.yaml"), "-o"),
        (lambda: write_sweep_report(result, file / "report.html"), "-o"),
        (lambda: write_sweep_report(result, tmp_path), "-o"),
        (lambda: write_sweep_report(result, Path("/proc/report.html")), "-o"),
        (lambda: write_explanations_to(best, 2, 0, file), "--out"),
        (lambda: write_explanations_to(best, 2, 0, Path("/proc")), "--out"),
    ):
        with pytest.raises(InputError, match=r"must be a place that can be written \(.+\)") as caught:
            write()
        assert caught.value.key == option
        assert str(tmp_path) in str(caught.value.value) or "/proc" in str(caught.value.value)


def test_a_sweep_whose_journal_is_empty_has_no_report_and_no_winner(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "journal.jsonl").touch()
    result = SweepResult.load("shapes", tmp_path)
    with pytest.raises(InputError, match="its journal is empty"):
        write_sweep_report(result)
    with pytest.raises(InputError, match="no trial of this sweep is done yet"):
        write_best(result, tmp_path / "best.yaml")
    assert register_winner(result, local_store(tmp_path)) is None
    assert not (tmp_path / "best.yaml").exists()


def test_a_sweep_without_a_finished_trial_has_a_report_that_says_why(tmp_path: Path) -> None:
    keys = {**ZOO, "data": "zoo://fashion/test", "target": "sneaker"}
    result = finished(tmp_path / "home", tmp_path / "storage", keys, state="failed")
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert "No configuration has finished with a finite response_fd" in page
    assert "it was told to fail" in page
    with pytest.raises(InputError, match="no trial of this sweep is done yet"):
        write_best(result, tmp_path / "best.yaml")
    assert register_winner(result, local_store(tmp_path / "storage")) is None
    assert open_client(local_store(tmp_path / "storage")).search_registered_models() == []


def test_what_masks_keep_of_notes_and_remove_can_be_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {
        "name": "organs",
        "method": {"name": "rde", "components": "elements", "fill": "mean"},
        "models": {"classifier": "zoo://notes/classifier"},
        "data": "zoo://notes/test",
        "target": "organ",
        "examples": 2,
        "space": {"lr": 0.5, "sparsity_weight": 0.1, "steps": 2, "noise_samples": 1},
        "objective": "distortion",
    }
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(keys))
    found = write_explanations_to(tmp_path / "best.yaml", 2, 15, tmp_path / "out")
    assert found["unheard"] == [16]  # the data have sixteen waves of each family
    sounds = [f"15-{part}.wav" for part in ("note", "kept", "removed")]
    assert [Path(file).name for file in found["files"][2:]] == sounds
    sample = read_explanations(Path(found["files"][0]))["sample"][0]
    with wave.open(found["files"][2]) as file:
        note = np.frombuffer(file.readframes(16000), "<i2") / 32767
    np.testing.assert_allclose(spectrum(note)[0], sample[0], atol=5e-3)
    print_explained(found, 2, tmp_path / "out")
    said = capsys.readouterr().out
    assert f"1 of them can be heard: the note, what is kept, what is removed, in {tmp_path / 'out' / 'sounds'}" in said
    assert "1 cannot, as the data have no waves of their notes" in said


MELS = """
import torch
from torch import nn


class Mels(nn.Module):
    latent = 4

    def forward(self, z):
        return (z[:, :1, None, None] - 5).expand(-1, 1, 64, 40) + torch.linspace(0, 1, 64)[:, None]


class Loudness(nn.Module):
    def forward(self, x):
        return x.mean((1, 2, 3))[:, None]
"""


def test_log_mels_of_another_number_of_bands_are_shown_without_sound(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mels.py").write_text(MELS)
    np.savez(home / "seen.npz", x=np.full((4, 1, 64, 40), -5, np.float32))
    data = {"source": "seen.npz", "media": "logmel"}
    models = {"generator": "mels:Mels", "classifier": "mels:Loudness"}
    result = finished(home, tmp_path / "storage", {"models": models, "data": data, "target": 0})
    found = write_explanations_to(write_best(result, tmp_path / "best.yaml"), 2, 0, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "explanations.png",
        "explanations.safetensors",
    ]
    assert [Path(file).suffix for file in found["files"]] == [".safetensors", ".png"]
    tensors = read_explanations(Path(found["files"][0]))
    milestone = result.ledger.trials[0].milestones[0]
    write_explanations(result.folder / "explanations" / "k0-5.safetensors", tensors)
    object.__setattr__(milestone, "explanations", "explanations/k0-5.safetensors")
    result.ledger.about["media"] = "logmel"
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert '<img class="sheet"' in page
    assert "<audio" not in page
