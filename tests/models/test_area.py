"""Reading a network's map in an area of interest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.area import AreaReadout


def test_the_cells_of_the_area_are_read_in_their_order() -> None:
    x = torch.arange(2 * 30.0).view(2, 1, 5, 6)
    found = AreaReadout(nn.Identity(), {"rows": [1, 3], "columns": [4, 6]})(x)
    assert found[0].tolist() == [10, 11, 16, 17]
    assert torch.equal(found[1], found[0] + 30)


def test_without_rows_or_columns_all_of_them_are_read() -> None:
    x = torch.arange(30.0).view(1, 1, 5, 6)
    assert AreaReadout(nn.Identity(), {})(x).shape == (1, 30)
    assert AreaReadout(nn.Identity(), {"rows": [4, 5]})(x)[0].tolist() == [24, 25, 26, 27, 28, 29]


@pytest.mark.parametrize(
    ("shape", "area", "message"),
    [
        ((1, 1, 5, 6), {"rows": [1, 6]}, r"target\.area\.rows: must lie within the map, which has 5 rows .*\[1, 6\]"),
        ((1, 1, 5, 6), {"columns": [7, 9]}, r"target\.area\.columns: .*which has 6 columns .*\[7, 9\]"),
        ((1, 5), {}, r"target\.query: has a use only with a network that makes a map .*\[5\]"),
    ],
)
def test_what_is_no_area_of_its_map_is_refused(shape: tuple[int, ...], area: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AreaReadout(nn.Identity(), area)(torch.zeros(shape))
