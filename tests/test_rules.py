"""Rules between the keys of a sweep file: each method has networks, objectives and keys of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.errors import InputError
from raysweep.preflight import check_space, workload_spec
from raysweep.schema import Sweep
from raysweep.sweepfile import load_sweep

AM = """\
name: mine
method: am
models: {generator: nets:generator, classifier: nets:classifier}
data: images.npz
target: bar
space: {lr: 0.1, prior_weight: 0.1, steps: 9}
objective: response_fd
"""
RDE = """\
name: mine
method: {name: rde, components: elements}
models: {classifier: nets:classifier}
data: images.npz
target: bar
space: {lr: 0.1, sparsity_weight: 0.1, steps: 9}
objective: [distortion, sparsity]
"""
LRP = """\
name: mine
method: {name: lrp, components: elements}
models: {classifier: nets:classifier}
data: images.npz
target: bar
space: {alpha: 2}
objective: rate_distortion
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.yaml"


def sweep(path: Path, text: str, *overrides: str) -> Sweep:
    path.write_text(text, encoding="utf-8")
    found = load_sweep(path, overrides).sweep
    check_space(found)
    return found


def refusal(path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        sweep(path, text, *overrides)
    return str(caught.value).replace(str(path), "sweep.yaml")


def test_hyper_parameters_with_a_default_need_not_be_given(path: Path) -> None:
    assert "temperature" not in sweep(path, RDE).space


@pytest.mark.parametrize("prefer", ["knee", "sparsity", "{sparsity: 2, distortion: 1}", "{sparsity: 0.5}"])
def test_a_preference_among_the_objectives_holds(path: Path, prefer: str) -> None:
    assert sweep(path, RDE, f"prefer={prefer}").prefer is not None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.generator=nets:generator", "models.generator: has no use with rde (found 'nets:generator')"),
        ("models.inpainter=nets:paints", "models.inpainter: has no use with rde with fill: gaussian"),
        ("method.fill=inpainter", "models.inpainter: must be given: rde with fill: inpainter needs one"),
        ("method.patch=3", "method.patch: has a use only with components: patches (found 3)"),
        ("method.fill_value=3", "method.fill_value: has a use only with fill: constant (found 3"),
        ("method.blur=3", "method.blur: has a use only with fill: blur (found 3"),
        ("method.maks=relaxed", "method.maks: unknown key. Did you mean 'mask'?"),
        ("method.mask=relax", "method.mask: no such choice (found 'relax'). Did you mean 'relaxed'?"),
        ("direction=minimise", "direction: has no use with rde, which keeps a score as it is (found 'minimise')"),
        ("space.threshold=1.1", "space.threshold: has a use only with the objective localisation_error"),
        (
            "objective=max_sensitivity",
            "objective: has a use only with lrp, sensitivity, attribution, cam, centre_box: it has",
        ),
        (
            "objective=[sparsity, randomisation]",
            "objective.1: has a use only with lrp, sensitivity, attribution, cam, centre_box",
        ),
        ("objective=[distortion, response_fd]", "objective.1: no objective of rde (found 'response_fd')"),
        (
            "objective=[distortion, rate_distorton]",
            "objective.1: no such choice (found 'rate_distorton'). Did you mean",
        ),
        ("space.sparsity_weight=-1", "space.sparsity_weight: must be at least 0 (found -1)"),
        ("space.temperature=0", "space.temperature: must be above 0 (found 0)"),
        ("space.initial_mask={choice: [0.5, 1]}", "space.initial_mask: must be above 0 and below 1 (found 1.0)"),
        ("space.noise_samples=0", "space.noise_samples: must be at least 1 (found 0)"),
        ("space.noise_samples=1.5", "space.noise_samples: must be whole numbers (found 1.5)"),
        ("space.prior_weight=0.1", "space.prior_weight: no hyper-parameter of rde"),
        ("target={each: guessed}", "target.each: no such choice (found 'guessed'). Valid: label, predicted"),
        ("target={each: label, class: bar}", "target: must be either a class, or a layer with a unit, or each: "),
        ("prefer=nee", "prefer: must be one of the objectives (found 'nee'). Did you mean 'knee'?"),
        ("prefer={sparsty: 1}", "prefer.sparsty: must be one of the objectives"),
        ("prefer={sparsity: 0}", "prefer: must give one objective a weight above 0"),
        ("prefer=3", "prefer: must be knee, an objective, or a weight for each (found 3)"),
        ("prefer={sparsity: much}", "prefer.sparsity: must be a number (found 'much')"),
        ("prefer={sparsity: -1}", "prefer.sparsity: must be at least 0 (found -1"),
    ],
)
def test_what_does_not_belong_to_rate_distortion_explanations_is_refused(
    path: Path, override: str, message: str
) -> None:
    assert message in refusal(path, RDE, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("space.beta=0.5", "space.beta: must be left out: α − β is 1 in LRP, so beta is alpha − 1"),
        ("space.alpha=0.5", "space.alpha: must be at least 1 (found 0.5)"),
        ("space.steps=10", "space.steps: must be left out: a heat map is computed, in no steps"),
        ("space.epsilon=0.1", "space.epsilon: no hyper-parameter of lrp"),
        ("space.alfa=2", "space.alfa: no hyper-parameter of lrp. Did you mean 'alpha'?"),
        ("method.composite=alpha_bta", "method.composite: no such composite (found 'alpha_bta'). Did you mean"),
        ("method.composite=[{any: alpa_beta}]", "method.composite.0: no such rule of LRP (found 'alpa_beta'). Did"),
        ("method.composite=[{dense: epsilon}]", "method.composite: must end with {any: rule}"),
        ("method.bias=absorbed", "method.bias: no such choice (found 'absorbed'). Did you mean 'absorb'?"),
        ("method.per=class", "method.per: unknown key"),
        ("stop.scheduler=asha", "stop.scheduler: has no use with lrp, which takes no steps that a trial could be"),
        ("objective=sparsity", "objective: no objective of lrp (found 'sparsity')"),
        ("space.threshold=1.1", "space.threshold: has a use only with the objective localisation_error"),
        ("models.judge=nets:judge", "models.judge: has no use with lrp, whose heat maps show nothing"),
        ("target={query: darken}", "target.query: has no use with lrp, which explains one unit's response"),
    ],
)
def test_what_does_not_belong_to_relevance_is_refused(path: Path, override: str, message: str) -> None:
    assert message in refusal(path, LRP, override)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["space.threshold=0"], "space.threshold: must be above 0 (found 0)"),
        (["space.treshold=1"], "space.treshold: no hyper-parameter of rde. Did you mean 'threshold'?"),
        (
            ["method.per=class", "target={each: label}"],
            "method.per: must be example with localisation_error, which looks at one sample (found 'class')",
        ),
        (
            ["target={query: darken}"],
            "target.query: has no use with localisation_error, which is about one score of a sample (found 'darken')",
        ),
    ],
)
def test_what_does_not_belong_to_localisation_is_refused(path: Path, overrides: list[str], message: str) -> None:
    localised = RDE.replace("[distortion, sparsity]", "localisation_error")
    found = sweep(path, localised, "space.threshold={choice: [0.5, 1]}")
    assert found.space["threshold"] == {"choice": [0.5, 1]}
    assert "threshold" not in sweep(path, localised).space
    assert message in refusal(path, localised, *overrides)


@pytest.mark.parametrize("text", [AM, RDE])
def test_a_threshold_is_for_methods_whose_maps_have_boxes(path: Path, text: str) -> None:
    other = "has a use only with the objective localisation_error" if text == RDE else "no hyper-parameter of am"
    assert f"space.threshold: {other}" in refusal(path, text, "space.threshold=1")


def test_a_relaxed_mask_has_no_temperature(path: Path) -> None:
    message = refusal(path, RDE, "method.mask=relaxed", "space.temperature=0.1")
    assert "space.temperature: no hyper-parameter of rde" in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.inpainter=nets:paints", "models.inpainter: has no use with am (found 'nets:paints')"),
        ("objective=distortion", "objective: no objective of am (found 'distortion')"),
        ("target={each: label}", "target.each: has no use with am, which explains no samples"),
        ("prefer=knee", "prefer: has a use only with several objectives (found 'knee')"),
    ],
)
def test_what_does_not_belong_to_activation_maximisation_is_refused(path: Path, override: str, message: str) -> None:
    assert message in refusal(path, AM, override)


EXPERT = """\
name: mine
method: am_expert
models: {expert: nets:density, classifier: nets:classifier}
data: images.npz
target: bar
space: {lr: 0.1, steps: 9}
objective: {name: feature_fd, reference: class}
"""


def test_an_expert_counts_in_full_unless_its_weight_is_given(path: Path) -> None:
    assert "prior_weight" not in sweep(path, EXPERT).space
    message = refusal(path, EXPERT, "method=am_input", "models.expert=null")
    assert "space.prior_weight: must be given: am_input needs it" in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.expert=null", "models.expert: must be given: am_expert needs one"),
        ("method=am_input", "models.expert: has no use with am_input (found 'nets:density')"),
        ("models.generator=nets:g", "models.generator: has no use with am_expert (found 'nets:g')"),
        ("direction=minimise", "method.quantity: must be response with direction: minimise"),
        (
            "target={layer: conv, unit: 1}",
            "has a use only with a method that excites a unit, and a class as its target",
        ),
        ("space.jitter=0.5", "space.jitter: must be whole numbers (found 0.5)"),
        ("space.scale=-0.1", "space.scale: must be at least 0"),
        ("method={name: am_expert, start: nois}", "method.start: no such choice (found 'nois'). Did you mean 'noise'?"),
        ("objective=sparsity", "objective: no objective of am_expert (found 'sparsity')"),
    ],
)
def test_what_does_not_belong_to_inputs_that_an_expert_finds_likely_is_refused(
    path: Path, override: str, message: str
) -> None:
    assert message in refusal(path, EXPERT, override)


def test_a_unit_of_a_layer_has_a_response_and_no_probability(path: Path) -> None:
    unit = ("target={layer: conv, unit: 1}", "objective=feature_fd")
    assert "method.quantity: must be response with a unit of a layer" in refusal(path, EXPERT, *unit)
    found = sweep(path, EXPERT, *unit, "method={name: am_expert, quantity: response}", "direction=minimise")
    assert found.direction == "minimise"
    of_samples = ("target={each: label}", "objective=feature_fd", "method={name: am_expert, quantity: response}")
    assert "has no use with am_expert, which explains no samples" in refusal(path, EXPERT, *of_samples)


def test_masks_are_compared_with_their_class_without_being_told(path: Path) -> None:
    message = refusal(path, RDE, "objective={name: feature_fd, reference: class}")
    assert "reference: has a use only with a method that excites a unit" in message


def test_a_method_that_is_none_is_refused_with_the_nearest(path: Path) -> None:
    assert "method: no such choice (found 'amm'). Did you mean 'am'?" in refusal(path, AM, "method=amm")
    assert "method.name: must be given" in refusal(path, AM, "method={prior: log_density}")


GAN = """\
name: mine
method: probegan
models: {classifiers: {plain: nets:plain, hard: nets:hard}}
images: train.npz
data: test.npz
target: bar
space: {classifier: {choice: [plain, hard]}, classifier_weight: {log: [0.1, 10.0]}, steps: 9}
search: {sampler: random}
budget: {trials: 4}
objective: seen_fd
"""


def test_a_named_classifier_is_a_hyper_parameter_like_any_other(path: Path) -> None:
    found = sweep(path, GAN)
    assert found.rows == 1
    config = {"classifier": "hard", "classifier_weight": 0.5, "steps": 9}
    assert found.numbers(config) == {"classifier": 1.0, "classifier_weight": 0.5}


@pytest.mark.parametrize("precision", ["auto", "float32", "float64", "bfloat16"])
def test_networks_are_trained_in_any_precision(path: Path, precision: str) -> None:
    assert sweep(path, GAN, f"precision={precision}").precision == precision


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("images=null", "images: must be given: probegan trains on them"),
        ("space.classifier={choice: [plain, soft]}", "must be one of models.classifiers, plain, hard"),
        ("space={steps: 9}", "space.classifier: must say which of models.classifiers. Write {choice: [plain, hard]}"),
        ("models.classifier=nets:plain", "models.classifier: must be given, or else models.classifiers"),
        ("models={classifiers: {}}", "models.classifiers"),
        ("models={judge: nets:plain}", "models.classifier: must be given, or else models.classifiers"),
        ("target={layer: conv, unit: 1}", "target: must be a class: probegan leaves one out"),
        ("stop={scheduler: race}", "stop.scheduler: has no use with probegan"),
        ("slots=4", "slots: must be 1 where networks are trained"),
        ("objective=response_fd", "no objective of probegan"),
        ("direction=minimise", "has no use with probegan"),
    ],
)
def test_what_training_needs_and_excludes_is_said(path: Path, override: str, message: str) -> None:
    assert message in refusal(path, GAN, override)


def test_images_and_data_are_of_one_medium_whichever_says_it(path: Path) -> None:
    said = ["images={source: train.npz, media: logmel}", "data={source: test.npz, media: array}"]
    assert "images.media: must be that of data, array" in refusal(path, GAN, *said)
    path.write_text(GAN)
    assert workload_spec(load_sweep(path, said[:1])).media == "logmel"
    assert workload_spec(load_sweep(path, said[1:])).media == "array"


@pytest.mark.parametrize("override", ["images=train.npz", "models={generator: nets:g, classifiers: {one: nets:one}}"])
def test_what_only_training_has_is_refused_elsewhere(path: Path, override: str) -> None:
    assert "has no use with am, which trains nothing" in refusal(path, AM, override)


def test_a_classifier_by_name_needs_names(path: Path) -> None:
    plain = GAN.replace("classifiers: {plain: nets:plain, hard: nets:hard}", "classifier: nets:plain")
    assert "space.classifier: has a use only with models.classifiers" in refusal(path, plain)
    assert sweep(path, plain.replace("classifier: {choice: [plain, hard]}, ", "")).models.classifiers is None


UNUSED = ("space.classifier=null", "space.classifier_weight=null")
BIGGAN = ("method=biggan", *UNUSED)


def test_a_method_that_probes_nothing_has_no_classifier_to_choose(path: Path) -> None:
    found = sweep(path, GAN, *BIGGAN, "search={sampler: grid}")
    assert found.models.classifiers is not None
    assert [*found.parsed_space.grid()] == [{"steps": 9}]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=biggan"], "space.classifier: must be left out: biggan probes no classifier. Take it out"),
        (["method=biggan", UNUSED[0]], "space.classifier_weight: must be left out: biggan probes no classifier"),
        ([*BIGGAN, "space.drift=0"], "space.drift: must be left out: biggan has no head that knows no classes"),
        ([*BIGGAN, "space.penalty_weight=1"], "space.penalty_weight: must be left out: biggan has no head that"),
        ([*BIGGAN, "space.unconditional_weight=1"], "space.unconditional_weight: must be left out: biggan has no"),
        (
            ["method=probegan_naive", "objective=classifier_loss", "space.conditional_weight=1"],
            "space.conditional_weight: must be left out: probegan_naive has no head that knows classes",
        ),
    ],
)
def test_a_hyper_parameter_that_would_change_nothing_is_refused(path: Path, overrides: list[str], message: str) -> None:
    assert message in refusal(path, GAN, *overrides)


@pytest.mark.parametrize("objective", ["seen_fd", "overall_fd", "overall_kid"])
def test_what_no_trial_could_be_better_in_is_no_objective(path: Path, objective: str) -> None:
    assert sweep(path, GAN, f"objective={objective}").objective[0].name == objective
    searching = ("method={name: biggan_am, trained: gan.safetensors}", "space={classifier: plain, steps: 9}")
    why = "which moves the target's embedding alone, so that it is the same for all trials"
    found = refusal(path, GAN, *searching, f"objective={objective}")
    assert f"no objective of biggan_am, {why} (found '{objective}'). Take classifier_loss" in found
    assert sweep(path, GAN, *searching, "objective=classifier_loss").trains
    message = f"no objective of probegan_naive, which makes the target alone (found '{objective}')"
    assert message in refusal(path, GAN, "method=probegan_naive", f"objective={objective}")
    asked = refusal(path, GAN, *BIGGAN, "objective=classifier_loss")
    assert "no objective of biggan, which is not asked for the target (found 'classifier_loss')" in asked


GFI = """\
name: mine
method: {name: gfi, layers: [conv.1, conv.2], guides: [conv.1]}
models: {classifier: nets:classifier}
data: images.npz
target: bar
space: {layer: {choice: [conv.1, conv.2]}, blur: 3, steps: 9}
objective: rate_distortion
"""


def test_a_layer_by_name_is_a_hyper_parameter_like_any_other(path: Path) -> None:
    assert sweep(path, GFI).numbers({"layer": "conv.2", "blur": 3, "steps": 9}) == {"layer": 1.0, "blur": 3.0}
    assert sweep(path, GFI, "space.guide=conv.1").numbers({"guide": "conv.1"}) == {"guide": 0.0}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("space.layer=conv.3", "space.layer: must be one of method.layers, conv.1, conv.2 (found 'conv.3'). Did you"),
        ("space.layer=1", "space.layer: must be one of method.layers, conv.1, conv.2 (found 1)"),
        ("space={steps: 9}", "space.layer: must say which of method.layers. Write {choice: [conv.1, conv.2]}"),
        ("method={name: gfi}", "space.layer: has a use only with method.layers, the names that it chooses from"),
        ("method.layers=[]", "method.layers: must not be empty"),
        ("space.lr=0", "space.lr: must be above 0"),
        ("space.steps=null", "space.steps"),
        ("method.norm=l3", "method.norm: no such choice (found 'l3')"),
        ("objective=sparsity", "objective: no objective of gfi"),
        ("models.judge=nets:judge", "models.judge: has no use with gfi, whose heat maps show nothing"),
        ("target={query: darken}", "target.query: has no use with gfi"),
        ("direction=minimise", "direction: has no use with gfi"),
    ],
)
def test_what_does_not_belong_to_feature_inversion_is_refused(path: Path, override: str, message: str) -> None:
    assert message in refusal(path, GFI, override)


@pytest.mark.parametrize(
    ("method", "space", "message"),
    [
        ("{name: cam, layers: [a, b]}", "{layer: {choice: [a, c]}}", "space.layer: must be one of method.layers, a, b"),
        ("cam", "{layer: a}", "space.layer: has a use only with method.layers"),
        ("cam", "{steps: 3}", "space.steps: must be left out: a heat map is computed, in no steps"),
        ("centre_box", "{size: 1.5}", "space.size: must be at least 0 and at most 1 (found 1.5)"),
        ("{name: meaningful_perturbation, mask_size: 0}", "{steps: 3}", "method.mask_size"),
        ("meaningful_perturbation", "{steps: 3, smoothness_power: 0.5}", "space.smoothness_power: must be at least 1"),
        ("meaningful_perturbation", "{}", "space.steps: must be given"),
    ],
)
def test_heat_maps_of_images_take_their_own_hyper_parameters(path: Path, method: str, space: str, message: str) -> None:
    assert message in refusal(path, GFI, f"method={method}", f"space={space}")


@pytest.mark.parametrize("method", ["cam", "centre_box", "{name: cam, layers: [a]}"])
def test_what_has_no_steps_needs_nothing_in_the_space(path: Path, method: str) -> None:
    assert sweep(path, GFI, f"method={method}", "space={}").numbers({}) == {}
