"""Boxes found by maps against a plain search over places, and what is refused as a true box."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raysweep.errors import InputError
from raysweep.objectives.localisation import check_boxes, found_boxes, localisation_errors, overlap, pointing_errors

Box = tuple[int, int, int, int]


def slow_box(heat: np.ndarray, threshold: float) -> Box:
    """The least rectangle with all places above the threshold, by trying every place."""
    _, height, width = heat.shape
    warm = {(r, c): max(0.0, float(sum(heat[:, r, c]))) for r in range(height) for c in range(width)}
    mean = sum(warm.values()) / len(warm)
    hot = [place for place, one in warm.items() if one > threshold * mean]
    if not hot:
        return 0, 0, 0, 0
    rows, columns = [r for r, _ in hot], [c for _, c in hot]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def slow_overlap(one: Box, other: Box) -> float:
    places = [{(r, c) for r in range(b[1], b[3]) for c in range(b[0], b[2])} for b in (one, other)]
    return len(places[0] & places[1]) / len(places[0] | places[1])


def boxes(count: int, height: int, width: int) -> list[Box]:
    draw = np.random.default_rng(1)
    corners = [
        (sorted(draw.permutation(width + 1)[:2]), sorted(draw.permutation(height + 1)[:2])) for _ in range(count)
    ]
    return [(int(x[0]), int(y[0]), int(x[1]), int(y[1])) for x, y in corners]


@pytest.mark.parametrize("threshold", [0.3, 1.1, 2.5, 40.0])
def test_boxes_errors_and_overlaps_are_those_of_a_plain_search(threshold: float) -> None:
    heat = np.random.default_rng(0).normal(0.3, 1, (40, 3, 5, 7))
    true = boxes(40, 5, 7)
    found = found_boxes(torch.from_numpy(heat), threshold)
    expected = [slow_box(one, threshold) for one in heat]
    assert [tuple(box) for box in found.tolist()] == expected
    shares = overlap(found, torch.tensor(true))
    slow = [slow_overlap(*pair) for pair in zip(expected, true, strict=True)]
    assert shares.tolist() == pytest.approx(slow)
    assert localisation_errors(shares).tolist() == [float(share < 0.5) for share in slow]
    if threshold == 40.0:
        assert not found.any()  # nothing is so hot


def test_a_box_that_covers_exactly_half_is_found() -> None:
    share = overlap(torch.tensor([[0, 0, 2, 1]]), torch.tensor([[0, 0, 4, 1]]))
    assert share.tolist() == [0.5]
    assert localisation_errors(share).tolist() == [0.0]


@pytest.mark.parametrize("heat", [0.0, -1.0, 3.0])
def test_a_map_that_covers_nothing_has_no_box_which_is_an_error(heat: float) -> None:
    found = found_boxes(torch.full((1, 1, 4, 4), heat), 1.1)
    assert found.tolist() == [[0, 0, 0, 0]]
    assert localisation_errors(overlap(found, torch.tensor([[0, 0, 1, 1]]))).tolist() == [1.0]


def test_pointing_errors_are_those_of_a_plain_search() -> None:
    heat = np.random.default_rng(0).integers(-2, 3, (60, 2, 4, 5)).astype(float)  # several places are the hottest
    true = boxes(60, 4, 5)
    for found, one, box in zip(pointing_errors(torch.from_numpy(heat), torch.tensor(true)), heat, true, strict=True):
        warm = one.sum(axis=0)
        hottest = [(r, c) for r in range(4) for c in range(5) if warm[r, c] == warm.max()]
        outside = [not (box[1] <= r < box[3] and box[0] <= c < box[2]) for r, c in hottest]
        assert float(found) == pytest.approx(sum(outside) / len(outside))


@pytest.mark.parametrize("heat", [0.0, -1.0])
def test_a_map_without_heat_points_nowhere(heat: float) -> None:
    assert pointing_errors(torch.full((1, 1, 3, 3), heat), torch.tensor([[0, 0, 3, 3]])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("found", "shape", "message"),
    [
        (np.zeros((2, 4), np.int64), (1, 6), "must be samples [C, H, W] that boxes can lie in (found [1, 6])"),
        (
            np.zeros((2, 4)),
            (1, 6, 8),
            "boxes must be whole numbers [N, 4]: left, top, right, bottom (found 'float64 [2, 4]')",
        ),
        (np.zeros((2, 3), np.int64), (1, 6, 8), "boxes must be whole numbers [N, 4]"),
        (np.array([[0, 0, 8, 6], [0, 0, 0, 3]]), (1, 6, 8), "(found '[0, 0, 0, 3], the box of sample 1')"),
        (np.array([[0, 0, 9, 6]]), (1, 6, 8), "boxes must have 0 ≤ left < right ≤ 8 and 0 ≤ top < bottom ≤ 6"),
        (np.array([[0, 2, 8, 7]]), (1, 6, 8), "the box of sample 0')"),
        (np.array([[-1, 0, 8, 6]]), (1, 6, 8), "the box of sample 0')"),
    ],
)
def test_what_is_no_box_in_its_sample_is_refused(found: np.ndarray, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_boxes(found, shape)
    assert str(caught.value).startswith("data.source: ")
    assert message in str(caught.value)


def test_boxes_up_to_the_edges_hold() -> None:
    check_boxes(np.array([[0, 0, 8, 6], [7, 5, 8, 6]], np.uint8), (3, 6, 8))
