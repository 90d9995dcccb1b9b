"""Raw arrays become one checked layout, or an error that names key, rule and value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raysweep.data.audio import MelSpec
from raysweep.data.dataset import Dataset, class_index, class_unit, make_dataset
from raysweep.errors import InputError


def made(x: Any, y: Any = None, classes: Any = None, media: str | None = None) -> Dataset:
    return make_dataset(x, y, classes, media=media, key="data", source="here")


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(InputError) as caught:
        made(*args, **kwargs)
    assert caught.value.key == "data"
    return str(caught.value)


def test_bytes_become_floats_between_0_and_1() -> None:
    dataset = made(np.array([[[0, 255], [51, 102]]], dtype=np.uint8))
    assert dataset.x.dtype == np.float32
    np.testing.assert_allclose(dataset.x[0, 0], [[0, 1], [0.2, 0.4]], rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 3, 8, 3), (5, 3, 8, 3)),
    ],
)
def test_images_end_up_channels_first_unless_that_is_ambiguous(given: tuple, expected: tuple) -> None:
    assert made(np.zeros(given)).x.shape == expected


def test_moving_channels_keeps_the_pixels() -> None:
    x = np.random.default_rng(0).random((2, 4, 5, 3), dtype=np.float32)
    np.testing.assert_array_equal(made(x).x[1, 2], x[1, :, :, 2])


def test_arrays_keep_their_shape_when_they_are_said_to_be_arrays() -> None:
    dataset = made(np.full((5, 8, 9), 7.0), media="array")
    assert (dataset.x.shape, dataset.media) == ((5, 8, 9), "array")


def test_the_medium_is_found_out_from_the_numbers() -> None:
    assert made(np.zeros((2, 4, 4))).media == "image"
    assert made(np.full((2, 4, 4), -3.0)).media == "array"
    assert made(np.zeros((2, 4))).media == "array"


def test_labels_without_names_are_named_by_their_index() -> None:
    dataset = made(np.zeros((3, 4)), np.array([0, 2, 1], dtype=np.uint8))
    assert dataset.classes == ("0", "1", "2")
    assert dataset.y is not None
    assert dataset.y.dtype == np.int64


def test_the_fingerprint_changes_with_x_y_and_the_names_only() -> None:
    x, y = np.zeros((2, 4, 4), dtype=np.float32), np.array([0, 1])
    base = made(x, y, ["a", "b"]).fingerprint
    assert made(x.copy(), y.copy(), ("a", "b")).fingerprint == base
    others = [made(x + 0.5, y, ["a", "b"]), made(x, y[::-1], ["a", "b"]), made(x, y, ["a", "c"]), made(x)]
    assert len({base, *(other.fingerprint for other in others)}) == 5


def test_nan_in_x_is_refused_with_the_first_sample_that_has_it() -> None:
    x = np.zeros((9, 4), dtype=np.float32)
    x[4:6, 2] = np.nan
    assert refusal(x) == "data: x must be finite (no NaN, no infinity) (found 'here: 2 of 9 samples, the first at 4')"


def test_floats_from_0_to_255_are_refused_with_what_to_do() -> None:
    message = refusal(np.full((2, 4, 4), 200.0))
    assert "image values must lie in [0, 1] (found [200.0, 200.0]). Divide them by 255" in message


def test_an_image_outside_0_to_1_is_refused() -> None:
    assert "must lie in [0, 1] (found [-1.0, -1.0])" in refusal(np.full((2, 4, 4), -1.0), media="image")


@pytest.mark.parametrize(
    ("x", "rule"),
    [
        (np.zeros((0, 4, 4)), "at least one sample, as [N, ...] (found 'here: [0, 4, 4]')"),
        (np.zeros(4), "at least one sample, as [N, ...] (found 'here: [4]')"),
        (np.array([["a"]]), "uint8 or floating-point numbers (found 'here: <U1')"),
        (np.zeros((2, 2), dtype=np.int64), "uint8 or floating-point numbers (found 'here: int64')"),
    ],
)
def test_x_that_holds_no_samples_is_refused(x: np.ndarray, rule: str) -> None:
    assert rule in refusal(x)


@pytest.mark.parametrize(
    ("y", "classes", "rule"),
    [
        ([0, 1], None, "one label for each of the 3 samples of x (found [2])"),
        ([0.0, 1.0, 1.0], None, "y must hold integers, one class index a sample (found 'float64')"),
        (["a", "b", "a"], None, "(found '<U1'). Save names as indices: classes, y = np.unique(y, return_inverse=True)"),
        ([0, 1, 2], ["a", "b"], "labels must lie between 0 and 1, as there are 2 classes (found [0, 2])"),
        ([0, -1, 1], ["a", "b"], "labels must lie between 0 and 1, as there are 2 classes (found [-1, 1])"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y: list, classes: list | None, rule: str) -> None:
    assert rule in refusal(np.zeros((3, 4)), y, classes)


def test_an_unknown_medium_is_refused_with_the_nearest() -> None:
    assert "(found 'imagee'). Did you mean 'image'?" in refusal(np.zeros((2, 4)), media="imagee")


def test_a_class_is_found_by_name_or_index() -> None:
    assert class_index("sneaker", ["shirt", "sneaker"], "target") == 1
    assert class_index(0, ["shirt", "sneaker"], "target") == 0


def test_without_classes_a_target_is_an_index() -> None:
    assert class_index(3, (), "target") == 3
    with pytest.raises(InputError, match=r"must be one of the classes \(found 'bar'\)\. Neither network nor data"):
        class_index("bar", (), "target")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sneeker", "target: must be one of the classes (found 'sneeker'). Did you mean 'sneaker'?"),
        (2, "target: must be a class index from 0 to 1 (found 2). The classes are shirt, sneaker"),
        (-1, "target: must be a class index from 0 to 1 (found -1). The classes are shirt, sneaker"),
    ],
)
def test_an_unknown_class_is_refused(target: str | int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        class_index(target, ["shirt", "sneaker"], "target")
    assert str(caught.value) == message


def test_an_index_that_is_the_name_of_another_class_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        class_index(1, ["1", "10", "2"], "target")
    assert str(caught.value) == (
        "target: must not be both the index of class '10' and the name of another class (found 1). "
        "Write the name you mean in quotes, '10' or '1'"
    )
    assert class_index("1", ["1", "10", "2"], "target") == 0
    assert class_index(1, ["0", "1", "2"], "target") == 1


def test_a_name_of_two_classes_is_refused_and_the_index_of_either_is_taken() -> None:
    classes = ["crane", "ostrich", "crane"]  # a bird and a machine, as in ImageNet
    with pytest.raises(InputError) as caught:
        class_index("crane", classes, "target")
    assert str(caught.value) == (
        "target: must name one class, not several (found 'crane'). Write the index of the one you mean, 0 or 2"
    )
    assert class_index(2, classes, "target") == 2


def test_names_are_those_of_the_outputs_when_there_are_as_many() -> None:
    assert class_unit("bar", ["ring", "bar", "dot"], 3, "target") == 1
    assert class_unit("vocal", ["vocal"], 1, "target") == 0


@pytest.mark.parametrize("target", ["vocal", 1])
def test_one_output_stands_for_the_second_of_two_classes(target: str | int) -> None:
    assert class_unit(target, ["non-vocal", "vocal"], 1, "target") == 0


@pytest.mark.parametrize("target", ["non-vocal", 0])
def test_the_first_of_two_classes_is_refused_for_one_output_with_what_to_write(target: str | int) -> None:
    with pytest.raises(InputError) as caught:
        class_unit(target, ["non-vocal", "vocal"], 1, "target")
    assert str(caught.value) == (
        f"target: must be 'vocal', the class that a network with one output responds to (found {target!r}). "
        "To explain 'non-vocal', write target: vocal and direction: minimise"
    )


def test_names_of_another_number_say_nothing_about_the_outputs() -> None:
    names = ["ring", "bar", "dot"]
    assert class_unit(805, names, 1000, "target") == 805
    assert class_unit(0, (), 2, "target") == 0
    with pytest.raises(InputError) as caught:
        class_unit("bar", names, 1000, "target")
    assert str(caught.value) == (
        "target: must be the index of an output, 0 to 999, as there are 1000 outputs and 3 named classes (found 'bar')"
    )


@pytest.mark.parametrize(("target", "outputs"), [(1000, 1000), (-1, 1000), (1, 1)])
def test_an_index_beyond_the_outputs_is_refused(target: int, outputs: int) -> None:
    with pytest.raises(InputError, match=rf"must be the index of an output, 0 to {outputs - 1}"):
        class_unit(target, ["ring", "bar", "dot"], outputs, "target")


def test_data_with_how_their_log_mels_were_taken_are_log_mels_that_can_be_heard() -> None:
    mel, x = np.array([8000, 512, 250, 32, 60, 3700]), np.zeros((2, 1, 32, 5), np.float32)
    found = make_dataset(x, None, None, None, mel, media=None, key="data", source="here")
    assert (found.media, found.mel) == ("logmel", MelSpec(8000, 512, 250, 32, 60.0, 3700.0))
    assert found.fingerprint == make_dataset(x, None, None, media="logmel", key="data", source="here").fingerprint
    assert make_dataset(x, None, None, None, mel, media="array", key="data", source="here").mel is None
    with pytest.raises(InputError, match="as many bands as x has, 16"):
        make_dataset(x[:, :, :16], None, None, None, mel, media=None, key="data", source="here")
