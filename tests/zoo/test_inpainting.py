"""Training an inpainter: it resumes exactly and learns; and the distances of obfuscations that the cards state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from raysweep.zoo.inpainting import Settings, Training, obfuscate
from raysweep.zoo.obfuscations import Constant, Gaussian, distances, fill_in, fills, table, trial_masks

SETTINGS = Settings(seed=1, steps=6, cells=(1, 4, 16), batch=8, save_every=3)


class Inpainter(nn.Module):
    """One hidden layer over pairs [B, 2, 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(6, 8, 5, padding=2), nn.ReLU(), nn.Conv1d(8, 2, 5, padding=2))

    def forward(self, kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        return self.body(torch.cat([kept, mask, noise], 1)).to(kept.dtype)


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.ReLU(), nn.Flatten())
        self.realness, self.naming = nn.Linear(8 * 16, 1), nn.Linear(8 * 16, 3)

    def see(self, x: Tensor) -> Tensor:
        return x

    def forward(self, seen: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(torch.cat([seen, mask], 1))
        return self.realness(h)[:, 0], self.naming(h)


def samples(n: int = 64) -> tuple[Tensor, Tensor]:
    """Constant rows of one of three levels, a little noisy."""
    random = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    return y[:, None, None] - 1 + 0.1 * torch.randn(n, 2, 16, generator=random), y


def trained(settings: Settings, file: Path) -> Training:
    training = Training(settings, Inpainter, Critic)
    training.run(*samples(), file)
    return training


def test_a_training_that_was_interrupted_continues_exactly(tmp_path: Path) -> None:
    whole = trained(SETTINGS, tmp_path / "whole.pt")
    half = Training(SETTINGS, Inpainter, Critic)
    for _ in range(3):
        half._update(*samples())
        half.step += 1
    half.save(tmp_path / "half.pt")
    resumed = Training(SETTINGS, Inpainter, Critic)
    resumed.load(tmp_path / "half.pt")
    assert resumed.step == 3
    resumed.run(*samples(), tmp_path / "half.pt")
    for one, other in ((whole.averaged, resumed.averaged), (whole.critic, resumed.critic)):
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, other.state_dict()[name]), name


def test_a_training_saves_where_it_is_and_what_it_cost(tmp_path: Path) -> None:
    trained(SETTINGS, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["step"] == 6
    assert [step for step, *_ in saved["history"]] == [3, 6]
    assert saved["seconds"] > 0


def test_training_brings_obfuscations_nearer_to_the_samples(tmp_path: Path) -> None:
    settings = Settings(1, 400, (1, 4), batch=32, lr_inpainter=4e-3, lr_critic=4e-3, save_every=400)
    x, _ = samples(600)
    mask = trial_masks(300, (2, 16), {4: "quarters"}, seed=3)["50% of quarters"]
    measured = {
        steps: distances(
            lambda rows: rows.mean(2),
            {"inpainter": training.averaged},
            x[:300],
            x[300:],
            {"half": mask},
            seed=0,
        )["kept"]["half"]["inpainter"][0]
        for steps, training in (
            (0, Training(settings, Inpainter, Critic)),
            (400, trained(settings, tmp_path / "state.pt")),
        )
    }
    assert measured[400] < 0.5 * measured[0]


def test_an_obfuscation_keeps_what_the_mask_keeps_and_shows_the_fill_nothing_else() -> None:
    x, mask = torch.randn(4, 2, 16), (torch.rand(4, 2, 16) < 0.5).float()
    shown: list[Tensor] = []

    def fill(kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        shown.append(kept)
        return noise

    noise = torch.randn(4, 2, 16)
    made = obfuscate(fill, x, mask, noise)
    assert torch.equal(made[mask > 0], x[mask > 0])
    assert torch.equal(made[mask == 0], noise[mask == 0])
    assert not shown[0][mask == 0].any()


def test_the_simple_fills_have_the_datas_moments() -> None:
    x = torch.randn(5000, 2, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([[0.0], [5.0]])
    noise = torch.randn(5000, 2, 3)
    made = Gaussian.of(x)(x, x, noise)
    torch.testing.assert_close(made.mean(0), x.mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(made.std(0), x.std(0), atol=0.2, rtol=0)
    constant = Constant.of(x)(x, x, noise)
    assert constant.shape == x.shape
    torch.testing.assert_close(constant[0, :, 0], x.mean((0, 2)))


def test_a_part_at_a_time_fills_as_all_at_once() -> None:
    x = torch.randn(600, 2, 3)
    mask = torch.zeros_like(x)
    made = fill_in(lambda kept, mask, noise: noise, x, mask, seed=4)
    assert torch.equal(made, torch.randn(x.shape, generator=torch.Generator().manual_seed(4)))


def test_where_all_is_kept_obfuscations_are_at_the_floor_and_elsewhere_they_are_not() -> None:
    x, _ = samples(600)
    masks = trial_masks(300, (2, 16), {1: "bins"}, seed=3)
    named = fills(lambda kept, mask, noise: noise, x)
    found = distances(lambda rows: rows.mean(2), named, x[:300], x[300:], masks, seed=0)
    assert list(found["kept"]) == ["nothing", "5% of bins", "20% of bins", "50% of bins"]
    for row in found["kept"].values():
        for value, low, high in row.values():
            assert low <= value <= high
            assert value > 5 * found["floor"][0]
    whole = distances(lambda rows: rows.mean(2), named, x[:300], x[300:], {"all": torch.ones(300, 2, 16)}, seed=0)
    assert whole["kept"]["all"]["constant"] == pytest.approx(found["floor"])


def test_the_table_has_a_row_for_each_kind_of_masks() -> None:
    figures = {"kept": {"nothing": {"inpainter": [1.2345, 1.0, 1.5], "constant": [20.0, 19.0, 21.0]}}}
    assert table(figures).splitlines() == [
        "| kept | inpainter | constant |",
        "| --- | --- | --- |",
        "| nothing | 1.23 [1, 1.5] | 20 [19, 21] |",
    ]


def test_where_nothing_is_kept_a_diverse_training_makes_fills_that_differ_with_the_noise(tmp_path: Path) -> None:
    bare = torch.zeros(200, 2, 16)
    noise = torch.randn(200, 2, 16, generator=torch.Generator().manual_seed(5))
    spread = {}
    for diversity in (0.0, 5.0):
        settings = Settings(1, 300, (16,), batch=32, lr_inpainter=4e-3, save_every=300, diversity=diversity)
        averaged = trained(settings, tmp_path / f"{diversity}.pt").averaged
        spread[diversity] = float(averaged(bare, bare, noise).std(0).mean())
    assert spread[5.0] > 1.5 * spread[0.0]


def test_a_batch_in_which_all_masks_keep_much_asks_for_no_diversity() -> None:
    training = Training(Settings(1, 1, (1,), diversity=5.0), Inpainter, Critic)
    x, _ = samples(8)
    assert training._sameness(x, x, torch.ones_like(x)) == 0
