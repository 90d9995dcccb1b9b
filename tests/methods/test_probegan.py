"""ProbeGAN against a plain script of its losses, and the promises of its kind: no image of the target, exact resume."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import RowStore
from raysweep.engine.trajectory import TrajectoryId, kept
from raysweep.errors import TrialFailed
from raysweep.methods import Rows
from raysweep.methods.gan import RealImages
from raysweep.methods.method import State
from raysweep.methods.probegan import BigGan, Naive, Oracle, ProbeGan, gradient_penalty, hinge, wasserstein
from raysweep.models.biggan import Discriminator, Generator

TARGET, CLASSES = 2, 4
VALUES = {"width": 1.0, "latent": 12.0, "embedding": 4.0, "batch": 6.0, "discriminator_steps": 2.0, "ema_start": 2.0}
VALUES["ema_decay"] = 0.5
SAME = 1e-8
"""Adam without a first moment makes 20,000 times as much of what rounding leaves of a gradient of 0."""


def images(dtype: torch.dtype = torch.float64) -> RealImages:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, 1, 28, 28, generator=generator, dtype=dtype)
    return RealImages(x, torch.arange(40) % CLASSES, CLASSES)


def classifier(dtype: torch.dtype = torch.float64, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, CLASSES)).to(dtype).requires_grad_(False)


def method(
    kind: type[ProbeGan] = ProbeGan, real: RealImages | None = None, dtype: torch.dtype = torch.float64
) -> ProbeGan:
    real = images(dtype) if real is None else real
    return kind(real, [classifier(dtype)], TARGET, dtype=dtype)


def trained(one: ProbeGan, steps: int, **values: float) -> State:
    engine, found = Engine([one], 1), list[Any]()
    engine.advance("a", {**VALUES, **values}, 7, range(1), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def rows_at(one: ProbeGan, step: int, **values: float) -> Rows:
    rows = Rows.of(7, range(1), one.complete({**VALUES, **values}))
    return Rows(rows.seed, rows.example, rows.step + step, rows.draw, rows.values)


class Script:
    """The training as a person would write it, with torch's Adam and a loop over samples; its noise is the method's."""

    def __init__(self, one: ProbeGan) -> None:
        self.one = one
        begin = one.begin(rows_at(one, 0))
        self.generator = Generator(CLASSES, 28, 1, 1, 12, 4).double()
        self.discriminator = Discriminator(CLASSES, 28, 1, 1).double()
        for name, net in (("generator", self.generator), ("discriminator", self.discriminator)):
            _copy(begin[name][0], [value for _, value in net.named_parameters()])
            _copy(begin[f"{name}.buffers"][0], [value for value in net.buffers() if value.is_floating_point()])
        self.average = copy.deepcopy(self.generator)
        lr = float(torch.tensor(2e-4, dtype=torch.float64))
        self.adam = {
            net: torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.999))
            for net in (self.generator, self.discriminator)
        }

    def step(self, number: int) -> None:
        for draw in range(2):
            fake, y, real, real_y, mix = self._drawn(number, draw)
            scores = self.discriminator(torch.cat([fake.detach(), real]), torch.cat([y, real_y]))
            c, u = scores
            loss = torch.zeros(())
            seen = [i for i in range(6) if int(y[i]) != TARGET]
            for i in seen:
                loss = loss + torch.relu(1 + c[i]) / len(seen) + torch.relu(1 - c[6 + i]) / len(seen)
            for i in range(6):
                loss = loss + (u[i] - u[6 + i]) / 6 + 1e-4 * (u[i] ** 2 + u[6 + i] ** 2) / 6
            between = (
                mix[:, None, None, None] * real + (1 - mix)[:, None, None, None] * fake.detach()
            ).requires_grad_()
            hat = self.discriminator.critic(between)
            gradient = torch.autograd.grad(hat.sum(), between, create_graph=True)[0]
            for i in range(6):
                loss = loss + 10 * (gradient[i].square().sum().sqrt() - 1) ** 2 / 6
            self._update(self.discriminator, loss)
        fake, y, _, _, _ = self._drawn(number, -1)
        c, u = self.discriminator(fake, y)
        logits = self.one.classifiers[0]((fake + 1) / 2)
        seen = [i for i in range(6) if int(y[i]) != TARGET]
        loss = torch.zeros(())
        for i in range(6):
            loss = loss + (-u[i] + 1e-4 * u[i] ** 2 - torch.log_softmax(logits[i], 0)[y[i]]) / 6
        for i in seen:
            loss = loss - c[i] / len(seen)
        self._update(self.generator, loss)
        for mine, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mine.data = 0.5 * mine.data + 0.5 * now.data if number >= 2 else now.data.clone()

    def _update(self, net: nn.Module, loss: Tensor) -> None:
        self.adam[net].zero_grad()
        loss.backward()
        self.adam[net].step()

    def _drawn(self, step: int, draw: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Fakes, their classes, images, their classes and the mixture, as the method draws them."""
        from raysweep.methods.noise import fresh_uniform

        key = self.one._key(rows_at(self.one, step), draw)
        y = self.one._classes(key, 6)
        z = self.one.latents(key, 6, 12)
        real = self.one._reals(key, 6)
        mix = fresh_uniform(key, 6, stream="mix")[0].double()
        return self.generator(z, y), y, real.x, real.y, mix


def _copy(flat: Tensor, tensors: list[Tensor]) -> None:
    begin = 0
    for one in tensors:
        one.data.copy_(flat[begin : begin + one.numel()].view(one.shape))
        begin += one.numel()
    assert begin == len(flat)


def test_training_is_what_a_plain_script_of_the_losses_does() -> None:
    one = method()
    script = Script(one)
    for number in range(3):
        script.step(number)
    state = trained(one, 3)
    for name, net in (("generator", script.generator), ("discriminator", script.discriminator)):
        wanted = torch.cat([value.detach().flatten() for value in net.parameters()])
        torch.testing.assert_close(state[name][0], wanted, rtol=0, atol=SAME)
    average = torch.cat([value.detach().flatten() for value in script.average.parameters()])
    torch.testing.assert_close(state["kept.generator"][0], average, rtol=0, atol=SAME)


def test_the_target_class_is_never_shown() -> None:
    real = images()
    real.x[real.y == TARGET] = torch.nan  # one look would show in every number
    state = trained(method(real=real), 3)
    assert all(torch.isfinite(value).all() for value in state.values())
    assert (method(real=real).images.y != TARGET).all()


def test_the_oracle_sees_it() -> None:
    assert Counter(method(Oracle).images.y.tolist()) == Counter(images().y.tolist())
    real = images()
    real.x[real.y == TARGET] = torch.nan
    engine, found = Engine([method(Oracle, real)], 1), list[Any]()
    engine.advance("a", VALUES, 7, range(1), 3, found.append)
    engine.run()
    assert "not finite" in str(found[0])


def test_fakes_are_of_all_classes_alike_and_naively_of_the_target_alone() -> None:
    one, naive = method(), method(Naive)
    drawn = Counter[int]()
    for step in range(300):
        drawn.update(one._classes(one._key(rows_at(one, step), 0), 64).tolist())
        assert set(naive._classes(naive._key(rows_at(naive, step), 0), 64).tolist()) == {TARGET}
    total = sum(drawn.values())
    assert set(drawn) == set(range(CLASSES))
    for count in drawn.values():  # five standard deviations
        assert abs(count - total / CLASSES) < 5 * (total * 3 / 16) ** 0.5


def test_the_naive_baseline_does_not_move_the_head_that_knows_classes() -> None:
    one = method(Naive)
    begin, state = one.begin(rows_at(one, 0)), trained(one, 3)
    _, discriminator = one._networks(rows_at(one, 0))
    moved = {
        name: not torch.equal(begin["discriminator"][0][place], state["discriminator"][0][place])
        for (name, _), place in discriminator._places(discriminator.parameters)
    }
    assert [name for name, change in moved.items() if not change] == [
        "conditional.weight",
        "conditional.bias",
        "embedding.weight",
    ]


def test_the_conditional_gan_knows_no_target_and_no_classifier() -> None:
    real = images()
    real.x[real.y == TARGET] = torch.nan
    broken = classifier()
    broken[1].weight.fill_(torch.nan)
    one = BigGan(real, [broken], TARGET, dtype=torch.float64)
    begin, state = one.begin(rows_at(one, 0)), trained(one, 3)
    assert all(torch.isfinite(value).all() for value in state.values())
    assert TARGET not in one._classes(one._key(rows_at(one, 0), 0), 64).tolist()
    moved = state["discriminator"][0] != begin["discriminator"][0]
    _, discriminator = one._networks(rows_at(one, 0))
    still = [name for (name, _), at in discriminator._places(discriminator.parameters) if not moved[at].any()]
    assert still == ["unconditional.weight", "unconditional.bias"]
    generator, _ = one._networks(rows_at(one, 0))
    generator.load(state["generator"][0], state["generator.buffers"][0], learns=False)
    table = generator.module.shared.weight.clone()
    generator.load(begin["generator"][0], begin["generator.buffers"][0], learns=False)
    assert torch.equal(table[TARGET], generator.module.shared.weight[TARGET])


@pytest.mark.parametrize("kind", [ProbeGan, Naive, Oracle, BigGan])
def test_every_loss_weight_that_a_method_has_counts_and_no_other_is_taken(kind: type[ProbeGan]) -> None:
    usual = trained(method(kind), 2)["generator"]
    weights = {name for name in ProbeGan.hyperparameters if name.endswith("_weight") or name == "drift"}
    for name in weights:
        if name in kind.hyperparameters:
            assert not torch.equal(trained(method(kind), 2, **{name: 3.0})["generator"], usual), name
        else:
            assert name in kind.refused
            assert torch.equal(trained(method(kind), 2, **{name: 3.0})["generator"], usual), name
    assert set(kind.hyperparameters) | set(kind.refused) == set(ProbeGan.hyperparameters)


def test_the_penalty_pulls_at_the_head_without_classes_alone() -> None:
    torch.manual_seed(0)
    net = Discriminator(CLASSES, 28, 1, 1)
    real, fake = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28)
    gradient_penalty(net.critic, real, fake, torch.tensor([0.3, 0.6])).backward()
    reached = {name for name, value in net.named_parameters() if value.grad is not None and value.grad.abs().sum() > 0}
    assert "unconditional.weight" in reached
    assert not {"conditional.weight", "conditional.bias", "embedding.weight"} & reached


def test_the_penalty_is_the_distance_of_each_gradients_length_from_one() -> None:
    weight = torch.tensor([3.0, 4.0]).view(1, 1, 1, 2)

    class Squares(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (weight * x.square()).sum(dim=(1, 2, 3)) / 2

    real, fake = torch.ones(2, 1, 1, 2), torch.zeros(2, 1, 1, 2)
    mix = torch.tensor([1.0, 0.5])  # there the gradient is (3, 4) · mix, of length 5 · mix
    assert float(gradient_penalty(Squares(), real, fake, mix).detach()) == pytest.approx((16 + 1.5**2) / 2)


def test_the_loss_terms_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5, 3.0])
    counts = torch.tensor([True, True, False])
    assert float(hinge(real, fake, counts)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert float(hinge(real, fake, torch.zeros(3, dtype=torch.bool))) == 0  # a batch of the target alone
    assert float(wasserstein(real, fake, 0.0)) == pytest.approx(0)
    assert float(wasserstein(real, fake, 0.1)) == pytest.approx(0.1 * (5.25 + 13.25) / 3)


def test_a_batch_of_the_target_alone_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProbeGan, "_classes", Naive._classes)
    assert all(torch.isfinite(value).all() for value in trained(method(), 3).values())


def test_a_training_that_was_killed_goes_on_bitwise_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = trained(method(dtype=torch.float32), 20)
    for to in (10, 20):  # a process each: all that is left of the first is a file
        store = RowStore(tmp_path)
        engine, found = Engine([method(dtype=torch.float32)], 1, store=store), list[Any]()
        engine.advance("a", VALUES, 7, range(1), to, found.append)
        made = 0
        while engine.step_lane(0):
            made += 1
        assert made == 10
        store.settled().result()
    assert {path.stem for path in tmp_path.rglob("*.safetensors")} == {"00000010", "00000020"}
    assert store.nearest(TrajectoryId("a", 7, range(1)), 20) is not None
    for name, value in whole.items():
        assert torch.equal(found[0][name], value), name


def test_a_training_killed_between_milestones_goes_on_bitwise_from_where_it_was_last_kept(tmp_path: Path) -> None:
    whole = trained(method(dtype=torch.float32), 12)
    for killed, kept_at in ((7, {7}), (99, {12})):
        store = RowStore(tmp_path)
        engine, found, made = Engine([method(dtype=torch.float32)], 1, store=store, passing=0.0), list[Any](), 0
        engine.advance("a", VALUES, 7, range(1), 12, found.append)
        while made < killed and engine.step_lane(0):
            made += 1
        assert made == (7 if killed == 7 else 5)
        store.settled().result()
        assert {int(path.stem) for path in tmp_path.rglob("*.safetensors")} == kept_at
    for name, value in whole.items():
        assert torch.equal(found[0][name], value), name


def test_a_step_that_makes_numbers_of_no_use_is_not_kept(tmp_path: Path) -> None:
    store, found = RowStore(tmp_path), list[Any]()
    one = method(dtype=torch.float32)
    one.classifiers[0][1].weight.mul_(1e4)
    engine = Engine([one], 1, store=store, passing=0.0)
    values = {**VALUES, "classifier_weight": 3e38}  # each loss is a number, and the gradient of their sum is not
    engine.advance("a", values, 7, range(1), 9, found.append)
    engine.run()
    store.settled().result()
    assert isinstance(found[0], TrialFailed)
    assert "the update is not finite at step 0" in str(found[0])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_trials_of_any_width_take_turns_in_one_lane() -> None:
    engine, found = Engine([method(dtype=torch.float32)], 1), dict[float, Any]()
    for width in (1.0, 2.0):
        values = {**VALUES, "width": width}
        engine.advance(f"{width}", values, 7, range(1), 3, lambda state, width=width: found.update({width: state}))  # type: ignore[misc]
    engine.run()
    for width in (1.0, 2.0):
        for name, value in trained(method(dtype=torch.float32), 3, width=width).items():
            assert torch.equal(found[width][name], value), name


def test_a_training_begins_alike_whatever_was_trained_before() -> None:
    one = method()
    begin = one.begin(rows_at(one, 0))
    trained(one, 3)
    for name, value in one.begin(rows_at(one, 0)).items():
        assert torch.equal(value, begin[name]), name


def test_replicates_begin_and_go_on_differently() -> None:
    one, other = trained(method(), 1), trained(method(), 1, replicate=1.0)
    assert not torch.equal(one["generator"], other["generator"])


def test_a_classifier_is_chosen_by_a_hyper_parameter() -> None:
    both = ProbeGan(images(), [classifier(), classifier(seed=5)], TARGET, dtype=torch.float64)
    second = ProbeGan(images(), [classifier(seed=5)], TARGET, dtype=torch.float64)
    assert torch.equal(trained(both, 2, classifier=1.0)["generator"], trained(second, 2)["generator"])
    assert not torch.equal(trained(both, 2)["generator"], trained(second, 2)["generator"])


def test_the_average_generator_is_looked_at_with_spectral_norms_of_its_own_weights() -> None:
    one = method()
    state = trained(one, 4)
    found, plain = kept(state), Generator(CLASSES, 28, 1, 1, 12, 4).double()
    _copy(found["generator"][0], [value for _, value in plain.named_parameters()])
    z = one.latents((torch.tensor([0]),), 64, 12)
    y = torch.arange(64) % CLASSES
    for _ in range(2000):  # every pass is one power iteration
        plain(z[:1], y[:1])
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
    batches = [(one.latents((torch.tensor([index]),), 64, 12), y) for index in range(16)]
    for count, (z, y) in enumerate(batches, start=1):
        for norm in plain.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = 1 / count
        plain(z, y)
    z = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(one.looked_at(found)(z, y[:5]), plain.eval()(z, y[:5]), rtol=0, atol=1e-6)


def test_looking_at_a_training_does_not_change_how_it_goes_on() -> None:
    one, other = method(), method()
    state = one.begin(rows_at(one, 0))
    alone = other.begin(rows_at(other, 0))
    for step in range(4):
        state = one.turn(state, {}, rows_at(one, step), fresh=False).state
        one.explain(kept(state))
        alone = other.turn(alone, {}, rows_at(other, step), fresh=False).state
    for name, value in alone.items():
        assert torch.equal(state[name], value), name


def test_images_are_each_their_own_and_in_the_datas_range() -> None:
    one = method()
    found = kept(trained(one, 2))
    generator = one.looked_at(found)
    four = one.images_of(generator, found, 7, TARGET, torch.arange(4))
    assert four.shape == (4, 1, 28, 28)
    assert 0 <= float(four.min()) <= float(four.max()) <= 1
    torch.testing.assert_close(
        one.images_of(generator, found, 7, TARGET, torch.tensor([2])), four[2:3], rtol=0, atol=1e-12
    )
    assert one.explain(found).shape == (1, 1, 28, 28)
