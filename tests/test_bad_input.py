"""Bad input through the command line: a clear message with file, line, key, rule and value; exit code 2; no traceback.

Nothing is started and nothing is made for it: no Ray, no folder in the storage.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import raysweep
from raysweep.cli import main
from raysweep.errors import InputError
from raysweep.record.driver import storage_folder
from raysweep.sources import call

NETS = """\
from torch import nn

def generator(side=8):
    layers = nn.Linear(4, side * side), nn.Sigmoid(), nn.Unflatten(1, (1, side, side))
    return nn.Sequential(*layers)

def classifier(channels=6):
    return nn.Sequential(nn.Conv2d(1, channels, 3), nn.ReLU(), nn.Flatten(), nn.Linear(channels * 36, 3))

def coloured():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3))

def squashed():
    return nn.Sequential(classifier(), nn.Softmax(1))

def broken():
    raise OSError("no such network")
"""
SWEEP = """\
name: own
method: am
models:
  generator:
    source: nets:generator
    weights: generator.safetensors
  classifier:
    source: nets:classifier
    weights: classifier.safetensors
data: images.npz
target: bar
examples: 6
space:
  lr:
    choice: [0.1, 0.01]
  prior_weight: 0.1
  steps: {choice: [9, 27]}
objective: response_fd
"""
LINES = len(SWEEP.splitlines())
Refusal = Callable[..., str]


def exit_code() -> int:
    """What `raysweep` ends with, run in this process."""
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder: networks with their weights, data, and a sweep file that holds."""
    (tmp_path / "nets.py").write_text(NETS)
    torch.manual_seed(0)
    for name in ("generator", "classifier"):
        save_file(call(f"nets:{name}", folder=tmp_path, key="k").state_dict(), tmp_path / f"{name}.safetensors")
    x = np.random.default_rng(0).uniform(0, 1, (60, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(60) % 3, classes=np.array(["ring", "bar", "dot"]))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


@pytest.fixture
def refusal(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """Run a command line that must be refused: its message, with paths as seen from the user's folder."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["raysweep", *arguments])
        before = set(home.rglob("*"))
        code = exit_code()
        out, error = capsys.readouterr()
        assert code == 2, error
        assert out == ""
        assert error.startswith("raysweep: ")
        assert "Traceback" not in error
        assert {path for path in home.rglob("*") if "__pycache__" not in path.parts} <= before
        ray = sys.modules.get("ray")
        assert ray is None or not ray.is_initialized()
        return error.removeprefix("raysweep: ").rstrip("\n")

    return run


@pytest.fixture(params=["check", "run"])
def changed(request: pytest.FixtureRequest, home: Path, refusal: Refusal) -> Refusal:
    """What `check` and `run` say of the sweep file when `old` is replaced by `new` in it."""

    def say(old: str, new: str, *options: str) -> str:
        assert old in SWEEP
        (home / "sweep.yaml").write_text(SWEEP.replace(old, new))
        return refusal(request.param, "sweep.yaml", *options)

    return say


def test_the_sweep_file_that_the_others_are_made_from_holds(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["raysweep", "check", str(home / "sweep.yaml")])
    assert exit_code() == 0
    assert "trials          4" in capsys.readouterr().out


def test_an_unknown_key_names_the_nearest(changed: Refusal) -> None:
    found = changed("examples: 6", "exampels: 6")
    assert found == "sweep.yaml:12: exampels: unknown key. Did you mean 'examples'?"


def test_a_value_of_the_wrong_type(changed: Refusal) -> None:
    assert changed("examples: 6", "examples: six") == "sweep.yaml:12: examples: must be a whole number (found 'six')"


def test_an_empty_choice(changed: Refusal) -> None:
    assert changed("[0.1, 0.01]", "[]") == "sweep.yaml:15: space.lr.choice: must not be empty (found [])"


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ("[0.1, 0]", "sweep.yaml:15: space.lr: must be above 0 (found 0.0)"),
        ("\n    - 0.1\n    - -0.01", "sweep.yaml:17: space.lr: must be above 0 (found -0.01)"),
    ],
)
def test_a_learning_rate_that_is_not_above_zero(changed: Refusal, lr: str, message: str) -> None:
    assert changed("[0.1, 0.01]", lr) == message


def test_a_learning_rate_that_an_override_sets_to_zero(changed: Refusal) -> None:
    found = changed("name", "name", "--set", "space.lr.choice=[0]")
    assert found == "sweep.yaml with --set space.lr.choice=[0]: space.lr: must be above 0 (found 0)"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{log: [100, 1000]}", "must be whole numbers: a choice or an int range (found [100.0, 1000.0])"),
        ("{uniform: [1.5, 9]}", "must be whole numbers: a choice or an int range (found [1.5, 9.0])"),
        ("{choice: [9, 9.5]}", "must be whole numbers (found 9.5)"),
        ("1.0e+300", "must be at most 9223372036854775807 (found 1e+300)"),
    ],
)
def test_steps_that_are_not_whole_numbers(changed: Refusal, steps: str, message: str) -> None:
    random = ("--set", "search.sampler=random", "--set", "budget.trials=2")
    found = changed("{choice: [9, 27]}", steps, *random)
    place, _, said = found.partition(": space.steps: ")
    assert place.startswith("sweep.yaml:17")
    assert said.startswith(message)
    assert ("Write {int: [100, 1000]}" in said) == ("log" in steps)


@pytest.mark.parametrize(
    ("old", "new", "line", "name"),
    [
        ("{choice: [9, 27]}", "{choice: [9], when: {lr: 0.1}}", 17, "steps"),
        ("prior_weight: 0.1", "prior_weight: {choice: [0.1], when: {lr: 0.1}}", 16, "prior_weight"),
    ],
)
def test_a_condition_on_a_hyper_parameter_that_is_always_needed(
    changed: Refusal, old: str, new: str, line: int, name: str
) -> None:
    rule = f"must be left out: am needs {name} in every configuration"
    assert changed(old, new) == f"sweep.yaml:{line}: space.{name}.when: {rule} (found {{'lr': 0.1}})"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("baar", "target: must be one of the classes (found 'baar'). Did you mean 'bar'?"),
        ("3", "target: must be a class index from 0 to 2 (found 3). The classes are ring, bar, dot"),
        ("{layer: '0', unit: 6}", "target.unit: unit must lie between 0 and 5, as 0 has 6 units (found 6)"),
        (
            "{layer: conv, unit: 6}",
            "target.layer: layer must be one of the network's (found 'conv'). Layers: 0, 1, 2, 3",
        ),
    ],
)
def test_a_target_that_is_no_class_or_unit(changed: Refusal, target: str, message: str) -> None:
    assert changed("target: bar", f"target: {target}") == f"sweep.yaml:11: {message}"


def test_a_generator_whose_output_does_not_fit_the_classifier_with_both_shapes(changed: Refusal) -> None:
    found = changed("    weights: generator.safetensors", "    args: {side: 10}")
    assert found.startswith(
        "sweep.yaml:4: models.generator: the generator's output must be what the classifier takes: [1, 8, 8], the "
        "shape of the data (found [1, 10, 10]). RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    )


def test_data_that_do_not_fit_the_classifier_with_both_shapes(changed: Refusal) -> None:
    found = changed("nets:classifier\n    weights: classifier.safetensors", "nets:coloured")
    assert found.startswith(
        "sweep.yaml:9: data: a sample of the data must be what the classifier takes: its first layer is Conv2d(3, 2,"
    )
    assert "(found [1, 8, 8])" in found


def test_a_judge_that_does_not_fit_the_generator_with_both_shapes(changed: Refusal) -> None:
    found = changed("data:", "  judge: nets:coloured\ndata:")
    assert found.startswith(
        "sweep.yaml:10: models.judge: the generator's output must be what the judge takes: its first"
    )
    assert "Conv2d(3, 2," in found
    assert "(found [1, 8, 8])" in found


def test_features_of_a_network_that_does_not_take_the_explanations(changed: Refusal) -> None:
    found = changed("objective: response_fd", "objective:\n- response_fd\n- {name: kid, model: nets:coloured}")
    assert found.startswith("sweep.yaml:20: objective.1.model: an explanation must be what the network of the features")
    assert "(found [1, 8, 8])" in found


def test_a_classifier_that_ends_in_a_softmax(changed: Refusal) -> None:
    found = changed("nets:classifier\n    weights: classifier.safetensors", "nets:squashed")
    assert found.startswith("sweep.yaml:10: target: the response must be the one before softmax or sigmoid")


def test_a_latent_that_the_generator_does_not_take(changed: Refusal) -> None:
    found = changed("nets:generator", "nets:generator\n    latent: 5")
    assert found.startswith("sweep.yaml:4: models.generator: the generator must take latents [2, 5]. RuntimeError: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "weights: classifier.safetensors",
            "weights: generator.safetensors",
            "sweep.yaml:9: models.classifier.weights: weights must fit Sequential (found 'generator.safetensors'). "
            "3.weight [3, 216] is missing; 3.bias [3] is missing; 0.weight is [64, 4] in the file, [6, 1, 3, 3] in the "
            "network; 0.bias is [64] in the file, [6] in the network",
        ),
        (
            "source: nets:classifier",
            "source: nets:squashed",
            "sweep.yaml:9: models.classifier.weights: weights must fit Sequential (found 'classifier.safetensors'). "
            "0.0.weight [6, 1, 3, 3] is missing; 0.0.bias [6] is missing; 0.3.weight [3, 216] is missing; 0.3.bias [3] "
            "is missing; and 4 more",
        ),
    ],
)
def test_weights_that_do_not_fit(changed: Refusal, old: str, new: str, message: str) -> None:
    assert changed(old, new) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "weights: classifier.s",
            "weights: clasifier.s",
            "9: models.classifier.weights: must be a file or folder that exists (found 'clasifier.safetensors'). "
            "Did you mean 'classifier.safetensors'?",
        ),
        (
            "images.npz",
            "image.npz",
            "10: data: must be a file or folder that exists (found 'image.npz'). Did you mean 'images.npz'?",
        ),
        (
            "nets:generator",
            "nest:generator",
            "5: models.generator: must name a module that imports (found 'nest:generator'). "
            "ModuleNotFoundError: No module named 'nest'",
        ),
        (
            "nets:generator",
            "nets:genrator",
            "5: models.generator: must name something in that module (found 'nets:genrator'). "
            "Did you mean 'generator'?",
        ),
        (
            "nets:generator",
            "nets:broken",
            "5: models.generator: must run without an error (found 'nets:broken'). "
            "OSError: no such network (nets.py:17)",
        ),
        (
            "source: nets:generator\n    weights: generator.safetensors",
            "source: zoo://fashion/genrator",
            "5: models.generator: the zoo has no such model (found 'zoo://fashion/genrator'). "
            "Did you mean 'generator'?",
        ),
    ],
)
def test_a_file_or_name_that_is_missing(changed: Refusal, old: str, new: str, message: str) -> None:
    assert changed(old, new) == f"sweep.yaml:{message}"


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_safetensors_file(home: Path, changed: Refusal, kept: int) -> None:
    path = home / "classifier.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    found = changed("name", "name")
    rule = (
        "sweep.yaml:9: models.classifier.weights: must be a whole .safetensors file (found 'classifier.safetensors'). "
    )
    assert found.startswith(rule)


@pytest.mark.parametrize("kept", [0, 100, -100, -1])
def test_a_truncated_npz_file(home: Path, changed: Refusal, kept: int) -> None:
    path = home / "images.npz"
    path.write_bytes(path.read_bytes()[:kept])
    found = changed("name", "name")
    assert found == f"sweep.yaml:10: data: must be a whole .npz file (found '{path}'). It is truncated or no .npz"


def test_an_npz_file_with_damaged_bytes(home: Path, changed: Refusal) -> None:
    path = home / "images.npz"
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    assert changed("name", "name").startswith(f"sweep.yaml:10: data: x must be readable (found '{path}'). Bad CRC-32")


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl"])
@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("weights: classifier.safetensors", "weights: net", "9: models.classifier.weights"),
        ("source: nets:classifier\n    weights: classifier.safetensors", "source: net", "8: models.classifier"),
    ],
)
def test_pickled_weights_are_not_opened(
    home: Path, changed: Refusal, suffix: str, old: str, new: str, place: str
) -> None:
    torch.save(Trap(home / "opened"), home / f"net{suffix}")
    found = changed(old, new + suffix)
    rule = f"weights must be safetensors, not a pickle (found 'net{suffix}'). Convert it: python -c "
    assert found.startswith(f"sweep.yaml:{place}: {rule}")
    assert not (home / "opened").exists()


def test_pickled_weights_are_refused_with_a_command_that_converts_them(home: Path, changed: Refusal) -> None:
    weights = load_file(home / "classifier.safetensors")
    torch.save(weights, home / "old.pt")
    found = changed("classifier.safetensors", "old.pt")
    code = re.search(r'python -c "(.+)"$', found)
    assert code is not None
    exec(code[1])  # in the working directory of the refused command, the user's folder
    converted = load_file(home / "old.safetensors")
    assert converted.keys() == weights.keys()
    assert all(torch.equal(converted[name], weights[name]) for name in weights)


def test_pickled_arrays_in_an_npz_are_refused_with_how_to_save_plain_ones(home: Path, changed: Refusal) -> None:
    np.savez(home / "images.npz", x=np.array([1, "a", None], dtype=object))
    found = changed("name", "name")
    assert found.startswith("sweep.yaml:10: data: x must be a plain array, not Python objects (found ")
    assert "Pickled objects are not loaded; save plain arrays: np.savez(" in found


def test_a_torchscript_file_without_trust(home: Path, changed: Refusal) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(torch.nn.Linear(4, 4)).save(home / "net.ts")
    found = changed("nets:classifier\n    weights: classifier.safetensors", "net.ts")
    assert found.startswith("sweep.yaml:8: models.classifier: a TorchScript file must be trusted explicitly (found")
    assert found.endswith("add trust: torchscript")


def test_more_examples_than_the_reference_has(changed: Refusal) -> None:
    found = changed("examples: 6", "examples: 61")
    rule = "N larger than the reference: the data have 60 examples to compare with"
    assert found == f"sweep.yaml:12: examples: {rule} (found 61)"


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("images.npz", "Not a directory: images.npz/own/logs"),
        ("images.npz/below", "Not a directory: images.npz/below/own/logs"),
        ("/proc/raysweep", "No such file or directory: /proc/raysweep"),
    ],
)
def test_a_storage_folder_that_cannot_be_written(refusal: Refusal, storage: str, reason: str) -> None:
    found = refusal("run", "sweep.yaml", "--storage", storage)
    assert found == f"--storage: must be a folder that can be written ({reason}) (found '{storage}')"


def test_a_storage_folder_with_a_log_that_cannot_be_written(home: Path, refusal: Refusal) -> None:
    (home / "runs" / "own" / "logs" / "driver.log").mkdir(parents=True)
    found = refusal("run", "sweep.yaml", "--storage", "runs")
    assert found.startswith(
        "--storage: must be a folder that can be written (Is a directory: runs/own/logs/driver.log)"
    )


@pytest.mark.parametrize("uri", ["localhost:5000", "mlruns", "file:///mlruns", "htp://localhost", "sqlite://"])
def test_a_tracking_uri_that_mlflow_does_not_write_to(changed: Refusal, uri: str) -> None:
    found = changed(SWEEP, f"{SWEEP}mlflow: {uri}\n")
    rule = f"mlflow: must be the URI of an MLflow server or of a database (found '{uri}'). "
    assert found.startswith(f"sweep.yaml:{LINES + 1}: {rule}")


@pytest.mark.parametrize("verb", [("run",), ("submit", "--address", "http://127.0.0.1:1")])
def test_such_a_tracking_uri_on_the_command_line(refusal: Refusal, verb: tuple[str, ...]) -> None:
    found = refusal(*verb, "sweep.yaml", "--mlflow", "localhost:5000")
    rule = "must be the URI of an MLflow server or of a database"
    assert found == f"--mlflow: {rule} (found 'localhost:5000'). Write http://localhost:5000"


@pytest.mark.parametrize(
    "command",
    [
        ("run", "sweep.yaml"),
        ("check", "sweep.yaml"),
        ("trials", "own"),
        ("best", "own"),
        ("explain", "own"),
        ("report", "own"),
        ("ui",),
        ("status",),
        ("status", "--address", "http://127.0.0.1:1"),
        ("logs", "own"),
        ("stop", "own"),
    ],
)
def test_a_storage_at_a_url_that_nothing_serves(refusal: Refusal, command: tuple[str, ...]) -> None:
    found = refusal(*command, "--storage", "nope://bucket/runs")
    rule = "must be a URL that fsspec can open (found 'nope://bucket/runs'). Protocol not known: nope"
    assert found == f"--storage: {rule}"


def test_such_a_storage_from_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    before = set(home.iterdir())
    with pytest.raises(InputError, match="--storage: must be a URL that fsspec can open"):
        raysweep.run("sweep.yaml", storage="nope://bucket/runs")
    assert set(home.iterdir()) == before


def test_a_storage_whose_name_has_a_colon_is_a_folder(home: Path) -> None:
    assert storage_folder(home / "12:30") == home / "12:30"
    assert storage_folder("runs:1/mine") == Path("runs:1/mine")


@pytest.mark.parametrize("verb", ["run", "check"])
def test_an_earlier_sweep_that_is_not_there(refusal: Refusal, verb: str) -> None:
    options = ("--set", "search={sampler: tpe, from: ealier}", "--set", "budget.trials=2")
    found = refusal(verb, "sweep.yaml", "--storage", "runs", *options)
    assert found.startswith(f"sweep.yaml with {options[0]} {options[1]}: search.from: no sweep of this name in runs")


def test_a_missing_sweep_file_names_one_like_it(refusal: Refusal) -> None:
    found = refusal("run", "sweeep.yaml")
    assert found == "sweeep.yaml: cannot be read: No such file or directory. Did you mean 'sweep.yaml'?"


def test_all_that_is_wrong_is_said_at_once(changed: Refusal) -> None:
    found = changed("examples: 6", "examples: six\nseeed: 1", "--set", "space.steps.choice=[]")
    assert found.splitlines() == [
        "sweep.yaml with --set space.steps.choice=[]: space.steps.choice: must not be empty (found [])",
        "sweep.yaml:12: examples: must be a whole number (found 'six')",
        "sweep.yaml:13: seeed: unknown key. Did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check",), "Missing argument 'file'."),
        (("chekc", "sweep.yaml"), "No such command 'chekc'. Did you mean 'check'?"),
        (
            ("check", "sweep.yaml", "--set", "seed"),
            "--set: must read key=value (found 'seed'). For example --set seed=1",
        ),
        (
            ("best", "own"),
            "no sweep of this name in raysweep-runs (found 'own'). Run one first: raysweep run SWEEP_FILE",
        ),
        (
            ("explain", "own", "--storage", "images.npz"),
            "no sweep of this name in images.npz (found 'own'). Run one first: raysweep run SWEEP_FILE",
        ),
        (("explain", "sweep.yaml", "--examples", "0"), "Invalid value for '--examples'"),
        (("ui", "--storage", "runs"), "--storage: holds no MLflow store (found 'runs')"),
    ],
)
def test_a_command_line_that_does_not_read(refusal: Refusal, arguments: tuple[str, ...], message: str) -> None:
    assert refusal(*arguments).startswith(message)


def test_a_process_of_its_own_ends_with_code_2_and_the_message_alone(home: Path) -> None:
    (home / "sweep.yaml").write_text(SWEEP.replace("examples: 6", "exampels: 6"))
    command = [sys.executable, "-m", "raysweep.cli", "run", "sweep.yaml"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "raysweep: sweep.yaml:12: exampels: unknown key. Did you mean 'examples'?\n"
