"""A sweep file is checked whole: what it accepts becomes a Sweep, and all that is wrong is said at once, by line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.document import Document
from raysweep.errors import InputError
from raysweep.sweepfile import SweepFile, SweepFileErrors, check_sweep, load_sweep

TEXT = """\
name: mine
method: am
models:
  generator: nets:generator
  classifier:
    source: nets:classifier
    weights: net.safetensors
data: images.npz
target: bar
space:
  lr: {choice: [0.1, 0.01]}
  prior_weight: 0.1
  steps:
    choice: [9, 27]
objective: response_fd
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def load(path: Path, old: str, new: str, *overrides: str) -> SweepFile:
    """Load the file with `old` replaced by `new`."""
    assert old in TEXT
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    return load_sweep(path, overrides)


def refusal(path: Path, old: str, new: str, *overrides: str) -> str:
    """What loading that says, without the folder."""
    with pytest.raises(InputError) as caught:
        load(path, old, new, *overrides)
    return str(caught.value).replace(str(path), "sweep.yaml")


def added(path: Path, line: str) -> str:
    """What a further line, the second of the file, is refused with."""
    return refusal(path, "name: mine\n", f"name: mine\n{line}\n")


def test_bare_values_stand_for_the_key_that_matters_most(path: Path) -> None:
    sweep = load_sweep(path).sweep
    assert sweep.method.name == "am"
    assert (sweep.models.generator.source, sweep.models.generator.weights) == ("nets:generator", None)
    assert (sweep.data.source, sweep.target.class_) == ("images.npz", "bar")
    assert [objective.name for objective in sweep.objective] == ["response_fd"]


def test_keys_left_out_have_their_defaults(path: Path) -> None:
    sweep = load_sweep(path).sweep
    assert (sweep.direction, sweep.examples, sweep.seed, sweep.search.sampler) == ("maximise", 50, 0, "grid")
    assert sweep.models.judge is None


def test_written_out_the_sweep_is_the_same_when_it_is_read_again(path: Path, tmp_path: Path) -> None:
    sweep = load_sweep(path).sweep
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(sweep.plain()), encoding="utf-8")
    assert load_sweep(again).sweep == sweep


def test_plain_data_is_checked_like_a_file(tmp_path: Path) -> None:
    file = check_sweep(Document(yaml.safe_load(TEXT)), tmp_path)
    assert (file.sweep.name, file.path, file.folder) == ("mine", None, tmp_path)
    with pytest.raises(InputError, match=r"^examples: must be at least 2 \(found 1\)"):
        check_sweep(Document({**yaml.safe_load(TEXT), "examples": 1}), tmp_path)


def test_paths_are_looked_up_from_the_files_folder_or_from_the_one_it_names(path: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    assert load_sweep(path).folder == tmp_path
    assert load_sweep(path, ["folder=code"]).folder == tmp_path / "code"
    assert load_sweep(path, ["folder=nope", f"folder={tmp_path / 'code'}"]).folder == tmp_path / "code"


def test_an_override_is_checked_like_a_key_of_the_file(path: Path) -> None:
    assert load_sweep(path, ["examples=10", "space.lr=1e-3"]).sweep.space["lr"] == 0.001
    message = refusal(path, "name", "name", "examples=1")
    assert message == "sweep.yaml with --set examples=1: examples: must be at least 2 (found 1)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data:", "dta:", "sweep.yaml:8: dta: unknown key. Did you mean 'data'?"),
        ("    weights", "    wieghts", "sweep.yaml:7: models.classifier.wieghts: unknown key. Did you mean 'weights'?"),
        ("target: bar", "target: {clas: bar}", "sweep.yaml:9: target.clas: unknown key. Did you mean 'class'?"),
        (
            "objective: response_fd",
            "objective:\n- kid\n- {name: fid, leyer: x}",
            "sweep.yaml:17: objective.1.leyer: unknown key. Did you mean 'layer'?",
        ),
        (
            "steps:\n    choice",
            "steps:\n    chioce",
            "sweep.yaml:14: space.steps.chioce: is no distribution (found 'chioce'). Did you mean 'choice'?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(path: Path, old: str, new: str, message: str) -> None:
    assert refusal(path, old, new) == message


@pytest.mark.parametrize("networks", ["classifiers: {one", "witnesses: {one"])
def test_an_unknown_key_of_a_named_network_is_refused_too(path: Path, networks: str) -> None:
    message = refusal(path, "models:\n", f"models:\n  {networks}: {{sourc: x}}}}\n")
    assert f"models.{networks.partition(':')[0]}.one.sourc: unknown key. Did you mean 'source'?" in message


def test_an_unknown_key_that_is_like_none_is_refused_with_all_of_them(path: Path) -> None:
    assert added(path, "budget: {xyz: 1}") == "sweep.yaml:2: budget.xyz: unknown key. Valid: row_steps, seconds, trials"


def test_a_key_left_out_is_named_with_the_line_of_what_lacks_it(path: Path) -> None:
    assert refusal(path, "data: images.npz\n", "") == "sweep.yaml:1: data: must be given"
    message = refusal(path, "  generator: nets:generator\n", "")
    assert message == "sweep.yaml:3: models.generator: must be given: am needs one"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("examples: many", "examples: must be a whole number (found 'many')"),
        ("examples: '50'", "examples: must be a whole number (found '50'). Write it without quotes"),
        ("examples: 50.0", "examples: must be a whole number (found 50.0). Write 50"),
        ("examples: true", "examples: must be a whole number (found True)"),
        ("examples: [50]", "examples: must be a whole number (found [50])"),
        ("examples:", "examples: must have a value"),
        ("folder: 5", "folder: must be text (found 5). Write it in quotes"),
        ("budget: 5", "budget: must be a mapping of keys (found 5). Valid: row_steps, seconds, trials"),
        ("budget: {seconds: soon}", "budget.seconds: must be a number (found 'soon')"),
        ("budget: {seconds: .inf}", "budget.seconds: must be finite (found inf)"),
        ("precision: float16", "precision: no such choice (found 'float16'). Did you mean 'bfloat16'?"),
        ("direction: [up]", "direction: no such choice (found ['up']). Valid: maximise, minimise"),
    ],
)
def test_a_value_of_another_type_is_refused(path: Path, line: str, message: str) -> None:
    assert added(path, line) == f"sweep.yaml:2: {message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("examples: 1", "examples: must be at least 2 (found 1)"),
        ("seed: -1", "seed: must be at least 0 (found -1)"),
        ("concurrency: 0", "concurrency: must be at least 1 (found 0)"),
        ("budget: {seconds: 0}", "budget.seconds: must be above 0 (found 0)"),
        ("hosts: {count: 0}", "hosts.count: must be at least 1 (found 0)"),
        ("hosts: {count: 2, max: 2}", "hosts.count: must not be given with hosts.max, which is the same (found 2)"),
        ("hosts: {min: 3, max: 2}", "hosts.min: must be at most 2, the number of hosts (found 3)"),
        ("trial_timeout: 0", "trial_timeout: must be above 0 (found 0)"),
        ("stop: {scheduler: asha, eta: 1}", "stop.eta: must be at least 2 (found 1)"),
        ("stop: {scheduler: race, min_examples: 1}", "stop.min_examples: must be at least 2 (found 1)"),
        ("folder: nope", "folder: must be a folder that exists (found 'nope')"),
        ("mlflow: mlruns", "mlflow: must be the URI of an MLflow server or of a database (found 'mlruns'). For"),
    ],
)
def test_a_value_out_of_range_is_refused(path: Path, line: str, message: str) -> None:
    assert added(path, line).startswith(f"sweep.yaml:2: {message}")


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", "", "a b", "a" * 101, "ä"])
def test_a_name_that_makes_no_folder_is_refused(path: Path, name: str) -> None:
    message = refusal(path, "name: mine", f"name: '{name}'")
    assert message.startswith("sweep.yaml:1: name: must be 1 to 100 letters, digits, '.', '_' and '-'")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("choice: [9, 27]", "choice: []", "14: space.steps.choice: must not be empty (found [])"),
        ("choice: [9, 27]", "choice: 9", "14: space.steps.choice: must be a list (found 9). Write [9]"),
        (
            "choice: [9, 27]",
            "choice:\n    - 9\n    - 9",
            "15: space.steps.choice: must not list a value twice (found 9)",
        ),
        ("[0.1, 0.01]", "[0.1, .nan]", "11: space.lr.choice: must be finite (found nan)"),
        (
            "{choice: [0.1, 0.01]}",
            "[0.1, 0.01]",
            "11: space.lr: must be a scalar or a distribution (found [0.1, 0.01])",
        ),
        ("{choice: [0.1, 0.01]}", "{log: [1, 0.1]}", "11: space.lr.log: must have its low bound below its high bound"),
        ("{choice: [0.1, 0.01]}", "{log: [0.1, 1]}", "11: space.lr: must be a choice for a grid, not an interval"),
        (
            "prior_weight: 0.1",
            "prior_weight: {choice: [1, 2], when: {lt: 1}}",
            "12: space.prior_weight.when.lt: is no parameter of this space (found 'lt'). Did you mean 'lr'?",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(path: Path, old: str, new: str, message: str) -> None:
    assert refusal(path, old, new).startswith(f"sweep.yaml:{message}")


def test_a_space_that_is_no_mapping_is_refused(path: Path) -> None:
    space = TEXT[TEXT.index("space:") : TEXT.index("objective")]
    assert refusal(path, space, "space: []\n") == "sweep.yaml:10: space: must be a mapping of keys (found [])"


@pytest.mark.parametrize(
    "target", ["{class: bar, unit: 1}", "{unit: 1}", "{layer: x}", "{}", "{class: bar, layer: x, unit: 1}"]
)
def test_a_target_is_either_a_class_or_a_unit_of_a_layer(path: Path, target: str) -> None:
    message = refusal(path, "target: bar", f"target: {target}")
    assert message.startswith("sweep.yaml:9: target: must be either a class, or a layer with a unit (found {")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("yes", "target: must be a class by name or index (found True). Write it in quotes"),
        ("1.5", "target: must be a class by name or index (found 1.5)"),
        ("[bar]", "target: must be a class by name or index (found ['bar'])"),
        ("{class: [bar]}", "target.class: must be a class by name or index (found ['bar'])"),
        ("{layer: x, unit: -1}", "target.unit: must be at least 0 (found -1)"),
    ],
)
def test_a_target_of_another_type_is_refused(path: Path, target: str, message: str) -> None:
    assert refusal(path, "target: bar", f"target: {target}") == f"sweep.yaml:9: {message}"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("3", (3, None, None)),
        ("'3'", ("3", None, None)),
        ("{class: bar}", ("bar", None, None)),
        ("{class: bar, layer: logits}", ("bar", "logits", None)),
        ("{layer: features.8, unit: 12}", (None, "features.8", 12)),
    ],
)
def test_a_target_may_be_written_in_any_of_these_ways(path: Path, target: str, expected: tuple[Any, ...]) -> None:
    found = load(path, "target: bar", f"target: {target}").sweep.target
    assert (found.class_, found.layer, found.unit) == expected


OBJECTIVES = (
    "classifier_loss",
    "diffuseness",
    "distortion",
    "feature_fd",
    "fid",
    "flipping_lerf",
    "flipping_morf",
    "kid",
    "localisation_error",
    "max_sensitivity",
    "overall_fd",
    "overall_kid",
    "pointing_error",
    "randomisation",
    "rate_distortion",
    "response_fd",
    "seen_fd",
    "sparsity",
    "unfaithfulness",
)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("[kid, response_fd, kid]", "15: objective.2: must not name an objective twice (found 'kid')"),
        ("\n- kid\n- {name: kid, layer: x}", "17: objective.1: must not name an objective twice (found 'kid')"),
        ("[]", "15: objective: must not be empty (found [])"),
        ("respnse_fd", "15: objective: no such choice (found 'respnse_fd'). Did you mean 'response_fd'?"),
        ("{layer: x}", "15: objective.name: must be given"),
        ("", "15: objective: must have a value"),
        (
            "[kid, 5]",
            "15: objective.1: no such choice (found 5). Valid: " + ", ".join(OBJECTIVES),
        ),
    ],
)
def test_objectives_that_are_none_are_refused(path: Path, objective: str, message: str) -> None:
    assert refusal(path, "objective: response_fd", f"objective: {objective}") == f"sweep.yaml:{message}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("search: {sampler: tpe}", "1: budget: must be given with the tpe sampler, which never ends by itself"),
        ("search: {sampler: cmaes}", "2: search.sampler: cmaes cannot serve choices (found ['lr', 'steps'])"),
        (
            "stop: {scheduler: asha, min_steps: 100}",
            "2: stop.min_steps: must be 1 or more and below 27, the most steps",
        ),
        (
            "stop: {scheduler: race, min_examples: 50}",
            "2: stop.min_examples: must be 2 or more and below 50, the examples (found 50)",
        ),
        ("stop: {scheduler: rase}", "2: stop.scheduler: no such choice (found 'rase'). Did you mean 'race'?"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(path: Path, lines: str, message: str) -> None:
    assert added(path, lines).startswith(f"sweep.yaml:{message}")


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file(path: Path) -> None:
    text = TEXT.replace("name: mine", "naem: mine\nexamples: many").replace("[9, 27]", "[]")
    path.write_text(text.replace("objective: response_fd", "objective: [kid, fdi]"), encoding="utf-8")
    with pytest.raises(SweepFileErrors) as caught:
        load_sweep(path, ["seed=-1"])
    lines = str(caught.value).replace(str(path), "sweep.yaml").splitlines()
    assert lines == [
        "sweep.yaml with --set seed=-1: seed: must be at least 0 (found -1)",
        "sweep.yaml:1: naem: unknown key. Did you mean 'name'?",
        "sweep.yaml:2: examples: must be a whole number (found 'many')",
        "sweep.yaml:15: space.steps.choice: must not be empty (found [])",
        "sweep.yaml:16: objective.1: no such choice (found 'fdi'). Did you mean 'fid'?",
    ]
    assert len(caught.value.errors) == 5


def test_an_error_is_one_line_whatever_it_quotes(path: Path) -> None:
    message = added(path, r'"se\ned\e[2J": "\u2028"')
    assert message.startswith(r"sweep.yaml:2: se\ned\x1b[2J: unknown key")
    assert "\x1b" not in message


def test_errors_survive_pickling(path: Path) -> None:
    path.write_text(TEXT.replace("name: mine", "naem: mine\nexamples: many"), encoding="utf-8")
    with pytest.raises(SweepFileErrors) as caught:
        load_sweep(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "sweep.yaml:1: is empty; it must be a mapping of keys, as in jobs/quickstart.yaml"),
        (b"- a\n", "sweep.yaml:1: must be a mapping of keys, as in jobs/quickstart.yaml (found ['a'])"),
        (b"quickstart", "sweep.yaml:1: must be a mapping of keys, as in jobs/quickstart.yaml (found 'quickstart')"),
        (b"name: a\nmethod: [\n", "sweep.yaml:2: is not valid YAML: it ends while parsing a flow"),
        (b"name: a\ntarget: \xff\n", "sweep.yaml:2: must be text in UTF-8"),
        (b"\x80\x04\x95", "sweep.yaml:1: must be text in UTF-8"),
    ],
)
def test_a_file_that_is_no_mapping_in_yaml_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_sweep(path)
    assert str(caught.value).replace(str(path), "sweep.yaml").startswith(message)


def test_a_missing_file_is_refused_with_one_like_it(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_sweep(path.with_name("sweeep.yaml"))
    assert str(caught.value).endswith(f"sweeep.yaml: cannot be read: No such file or directory. Did you mean '{path}'?")


def test_the_shipped_sweep_files_hold(jobs: Path) -> None:
    found = [load_sweep(file).sweep for file in sorted(jobs.glob("*.yaml"))]
    assert {sweep.name: sweep.parsed_space.size for sweep in found} == {
        "am-three-ways": 24,
        "am-vocal-minimise": 27,
        "am-vocal": 27,
        "probegan-audio": 10,
        "probegan-cifar10": 6,
        "gfi-fashion": 16,
        "localise": 108,
        "lrp-fashion": 9,
        "probegan-fashion": 10,
        "probegan-fashion-smoke": 2,
        "probegan-marker": 24,
        "probegan-spurious": 6,
        "quickstart": 27,
        "rde-fashion": 16,
        "rde-magnitude-phase": 5,
        "rde-notes": 16,
        "rde-radio": 6,
    }
