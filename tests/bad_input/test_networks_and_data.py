"""Networks and data that do not load, do not fit, or would run code: refused at the line that names them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.bad_input.own_files import Refusal


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
            "ModuleNotFoundError: No module named 'nest'. Did you mean 'nets:generator'?",
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
