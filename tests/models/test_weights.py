"""Weights fit and are filled in, or the first few that do not are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from raysweep.errors import InputError
from raysweep.models.weights import load_weights


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3, bias=False)
        self.two = nn.Linear(3, 3, bias=False)
        self.two.weight = self.one.weight


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_weights(net(), path, key="models.net.weights")
    assert str(caught.value).startswith("models.net.weights: ")
    assert f"(found '{path.name}')" in str(caught.value)
    return str(caught.value)


def changed(path: Path, drop: tuple[str, ...] = (), **more: torch.Tensor) -> Path:
    state = {name: value for name, value in net().state_dict().items() if name not in drop}
    save_file({**state, **more}, path)
    return path


def test_missing_unexpected_and_misshapen_weights_are_named_with_their_shapes(tmp_path: Path) -> None:
    more = {"3.weight": torch.zeros(7), "2.weight": torch.zeros(5, 3)}
    message = refusal(changed(tmp_path / "w.safetensors", drop=("0.bias",), **more))
    assert "weights must fit Sequential" in message
    assert "0.bias [3] is missing" in message
    assert "3.weight [7] has no place" in message
    assert "2.weight is [5, 3] in the file, [2, 3] in the network" in message


@pytest.mark.parametrize("prefix", ["module.", "net.model."])
def test_weights_of_a_network_in_a_wrapper_are_refused_with_what_to_take_off(tmp_path: Path, prefix: str) -> None:
    save_file({f"{prefix}{name}": value for name, value in net().state_dict().items()}, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as caught:
        load_weights(net(), tmp_path / "w.safetensors", key="k")
    assert str(caught.value).startswith(
        "k: weights must have the names that Sequential has "
        f"(found 'w.safetensors: {prefix}0.bias'). Take '{prefix}' off every name in the file: "
    )
    state = load_file(tmp_path / "w.safetensors")
    bare = {name[len(prefix) :]: tensor for name, tensor in state.items()}
    assert f"name[{len(prefix)}:]" in str(caught.value)
    save_file(bare, tmp_path / "w.safetensors")
    load_weights(net(), tmp_path / "w.safetensors", key="k")


def test_a_prefix_is_not_told_of_where_the_rest_does_not_fit(tmp_path: Path) -> None:
    save_file({"module.0.bias": torch.zeros(3), "module.2.bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    assert "is missing" in refusal(tmp_path / "w.safetensors")


def test_many_misfits_are_counted(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.safetensors").endswith("and 5 more")


def test_the_count_of_batches_may_be_missing(tmp_path: Path) -> None:
    load_weights(net(), changed(tmp_path / "w.safetensors", drop=("1.num_batches_tracked",)), key="k")


def test_tied_weights_are_stored_once_and_fit(tmp_path: Path) -> None:
    tied = Tied()
    save_model(tied, str(tmp_path / "w.safetensors"))
    fresh = Tied()
    load_weights(fresh, tmp_path / "w.safetensors", key="k")
    assert torch.equal(fresh.one.weight, tied.one.weight)
    assert torch.equal(fresh.two.weight, tied.one.weight)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = changed(tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-20])
    assert "must be a whole .safetensors file" in refusal(tmp_path / "w.safetensors")


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    assert "weights must be a .safetensors file" in refusal(tmp_path / "w.h5")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".ckpt"])
def test_pickled_weights_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"w{suffix}").write_bytes(b"never read")
    assert "weights must be safetensors, not a pickle" in refusal(tmp_path / f"w{suffix}")


def test_the_conversion_that_is_proposed_works(tmp_path: Path) -> None:
    state = net().state_dict()
    torch.save(state, tmp_path / "w.pt")
    code = refusal(tmp_path / "w.pt").partition('python -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert torch.equal(load_file(tmp_path / "w.safetensors")["0.weight"], state["0.weight"])
