"""What a person sees of a mask: the sample, in colour where the mask removes it."""

from __future__ import annotations

import numpy as np

from raysweep.record.overlay import (
    AGAINST,
    FOR,
    FOUND_BOX,
    REMOVED,
    SEEN_THROUGH,
    TRUE_BOX,
    UNSEEN,
    glimpsed,
    looked_at,
)
from raysweep.record.sheets import pictures
from raysweep.record.spectra import GROUND, KEPT, MAGNITUDE
from raysweep.record.spectra import REMOVED as UNIMPORTANT


def test_an_explanation_without_a_mask_is_looked_at_itself() -> None:
    made = np.random.default_rng(0).random((2, 1, 4, 4))
    assert looked_at({"explanation": made}, "image") is made


def test_what_a_mask_keeps_is_the_image_and_what_it_removes_shows_through_a_colour() -> None:
    sample = np.full((1, 1, 1, 2), 0.8)
    mask = np.array([1.0, 0.0]).reshape(1, 1, 1, 2)
    seen = looked_at({"explanation": sample, "sample": sample, "mask": mask}, "image")
    np.testing.assert_allclose(seen[0, :, 0, 0], 0.8)
    np.testing.assert_allclose(seen[0, :, 0, 1], SEEN_THROUGH * 0.8 + (1 - SEEN_THROUGH) * REMOVED, rtol=1e-6)


def test_heat_lies_beside_its_image_in_red_where_it_speaks_for_the_score_and_in_blue_where_against() -> None:
    sample = np.full((2, 1, 1, 3), 0.5)
    heat = np.array([[2.0, -1.0, 0.0], [0.0, 0.0, 0.0]]).reshape(2, 1, 1, 3)
    seen = looked_at({"explanation": heat, "sample": sample, "heat": heat}, "image")
    assert seen.shape == (2, 3, 1, 6)
    np.testing.assert_allclose(seen[:, :, :, :3], 0.5)
    np.testing.assert_allclose(seen[0, :, 0, 3], FOR, rtol=1e-6)
    np.testing.assert_allclose(seen[0, :, 0, 4], 0.5 + 0.5 * AGAINST, rtol=1e-6)
    assert (seen[0, :, 0, 5] == 1).all()
    assert (seen[1, :, 0, 3:] == 1).all()


def test_classes_are_strips_of_samples_and_the_unseen_one_is_framed() -> None:
    classes = np.random.default_rng(0).random((2, 3, 1, 4, 5), dtype=np.float32)
    found = looked_at({"explanation": classes[1], "classes": classes, "unseen": np.array([False, True])}, "image")
    assert found.shape == (2, 3, 6, 17)
    for label in range(2):
        for sample in range(3):
            part = found[label, :, 1:5, 1 + 5 * sample : 6 + 5 * sample]
            np.testing.assert_array_equal(part, np.broadcast_to(classes[label, sample], (3, 4, 5)))
    assert (found[0, :, 0] == 1).all()
    np.testing.assert_array_equal(found[1, :, 0, 0], UNSEEN)
    heard = looked_at({"explanation": classes[1], "classes": classes, "unseen": np.array([False, True])}, "logmel")
    np.testing.assert_array_equal(heard[1, :, :, 5:10], classes[1, 1])


def test_few_pictures_are_of_the_class_that_is_probed() -> None:
    tensors = {"explanation": np.zeros((3, 1, 4, 5)), "classes": np.ones((2, 3, 1, 4, 5))}
    assert glimpsed(tensors, "image") is tensors["explanation"]
    assert glimpsed({"explanation": tensors["explanation"]}, "image") is tensors["explanation"]


def test_a_mask_over_numbers_of_no_medium_is_looked_at_itself() -> None:
    mask = np.array([[0.25, 1.5]])
    assert looked_at({"explanation": mask, "sample": mask, "mask": mask}, "array").tolist() == [[0.25, 1.0]]


def test_a_spectrum_is_drawn_in_the_colours_of_its_importance() -> None:
    spectrum = np.stack([[15.8, 15.8, 1e-9], [np.pi, 0.0, -np.pi]])[None]  # 24 dB fills the panel, silence leaves it
    mask = np.array([[[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]])
    seen = looked_at({"explanation": spectrum, "sample": spectrum, "mask": mask}, "spectrum")
    (picture,) = pictures(seen, "spectrum")
    panel, phase = picture[:MAGNITUDE], picture[MAGNITUDE + 3 :]
    assert (panel[2:, 0] == KEPT).all()
    assert (panel[2:, 1] == UNIMPORTANT).all()
    assert (panel[:, 2] == GROUND).all()
    heights = [int(np.flatnonzero((phase[:, column] == KEPT).all(axis=1)).mean()) for column in range(3)]
    assert heights == sorted(heights)  # π is above, -π below
    assert heights[0] < 3 < 36 < heights[2]


def test_a_spectrum_alone_is_drawn_in_one_colour() -> None:
    (picture,) = pictures(np.ones((1, 2, 5)), "spectrum")
    assert {tuple(colour) for colour in picture.reshape(-1, 3).tolist()} == {
        tuple(colour.tolist()) for colour in (GROUND, KEPT, np.full(3, 255.0))
    }


def test_boxes_are_outlined_over_masked_images_the_true_one_on_top() -> None:
    sample, mask = np.full((1, 1, 6, 7), 0.5, dtype=np.float32), np.ones((1, 1, 6, 7), dtype=np.float32)
    boxes = {"box": np.array([[1, 1, 5, 4]]), "found_box": np.array([[1, 1, 7, 6]])}
    (seen,) = looked_at({"explanation": sample, "sample": sample, "mask": mask, **boxes}, "image")
    for row in range(6):
        for column in range(7):
            colour, true, found = (
                seen[:, row, column],
                (row in (1, 3), column in (1, 4)),
                (row in (1, 5), column in (1, 6)),
            )
            if (true[0] and 1 <= column < 5) or (true[1] and 1 <= row < 4):
                assert (colour == TRUE_BOX).all()
            elif (found[0] and column >= 1) or (found[1] and row >= 1):
                assert (colour == FOUND_BOX).all()
            else:
                assert (colour == 0.5).all()
    nothing = {"found_box": np.zeros((1, 4), np.int64)}
    (seen,) = looked_at({"explanation": sample, "sample": sample, "mask": mask, **nothing}, "image")
    assert (seen == 0.5).all()
