"""Pictures of radio maps: what is kept stands out, and both maps share one scale."""

from __future__ import annotations

import numpy as np

from raysweep.record.overlay import looked_at
from raysweep.record.radio_maps import CELL, GAP, HEAD
from raysweep.record.sheets import pictures

SIDE = 12
ORANGE, GREY, GREEN = (222, 88, 8), (205, 208, 214), (0, 168, 132)


def tensors(kept_building: float = 1.0, other_building: float = 0.0) -> dict[str, np.ndarray]:
    """Two buildings of 3 × 3 cells, a measurement in the lower left, and a question about the upper right."""
    sample = np.zeros((1, 4, SIDE, SIDE), np.float32)
    sample[0, 0, 1:4, 1:4] = sample[0, 0, 7:10, 7:10] = sample[0, 1, 5, 5] = sample[0, 3, 10, 2] = 1
    mask = np.ones_like(sample)
    mask[0, 0, 1:4, 1:4], mask[0, 0, 7:10, 7:10], mask[0, 2:, 10, 2] = kept_building, other_building, 0.0
    area = np.zeros((1, SIDE, SIDE), np.uint8)
    area[0, 1:4, 8:11] = 1
    bright = np.ones((1, 1, SIDE, SIDE), np.float32)
    made = {"map": bright, "obfuscation_map": 0 * bright}
    return {"explanation": sample, "sample": sample, "mask": mask, "area": area, **made}


def panels(found: dict[str, np.ndarray]) -> np.ndarray:
    """The three of the first picture, [3, height, width, 3]."""
    (picture,) = pictures(looked_at(found, "radio"), "radio")
    width = CELL * SIDE
    return np.stack([picture[HEAD:, place * (width + GAP) :][:, :width] for place in range(3)])


def cell(panel: np.ndarray, row: int, column: int) -> tuple[int, ...]:
    """The colour in the middle of a cell."""
    return tuple(panel[CELL * row + CELL // 2, CELL * column + CELL // 2].tolist())


def test_kept_buildings_are_orange_and_the_others_grey() -> None:
    city = panels(tensors())[0]
    assert cell(city, 2, 2) == ORANGE
    assert cell(city, 8, 8) == GREY


def test_the_most_important_building_is_the_deepest() -> None:
    city = panels(tensors(kept_building=0.9, other_building=0.8))[0].astype(int)
    first, second = (np.array(cell(city, *place)) for place in ((2, 2), (8, 8)))
    assert tuple(first) == ORANGE
    assert second[2] > first[2] + 50
    assert second[0] > 200


def test_a_kept_measurement_is_larger_than_one_that_is_not() -> None:
    found = tensors()
    before = panels(found)[0]
    found["mask"][0, 2:, 10, 2] = 1.0
    changed = (panels(found)[0] != before).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= CELL * 8
    assert columns.max() < CELL * 5
    assert changed.sum() > CELL * CELL


def test_both_maps_are_coloured_on_one_scale() -> None:
    _, all_told, kept_told = panels(tensors())
    assert cell(all_told, 11, 11) == (252, 254, 164)  # the brightest of the palette, and the darkest
    assert cell(kept_told, 11, 11) == (0, 0, 3)


def test_the_area_is_outlined_in_every_panel_and_the_whole_map_is_not() -> None:
    found = tensors()
    for panel in panels(found):
        assert cell(panel, 2, 9) != GREEN
        edge = panel[CELL : CELL * 4, CELL * 8]
        assert (np.abs(edge.astype(int) - GREEN).max(axis=-1) < 40).all()
    found["area"][:] = 1
    assert not (panels(found) == GREEN).all(axis=-1).any()


def test_a_mask_of_radio_maps_for_a_class_is_looked_at_itself() -> None:
    found = {name: array for name, array in tensors().items() if name not in ("map", "obfuscation_map", "area")}
    assert looked_at(found, "radio").shape == found["mask"].shape
