"""Groupings of a sample's elements into the components of a mask."""

from __future__ import annotations

import pytest
import torch

from raysweep.errors import InputError
from raysweep.methods.components import FILLED, KEPT, Components, channels, elements, patches, pixels


def test_patches_cover_a_map_row_by_row_and_are_narrower_at_the_edge() -> None:
    labels = patches((2, 3, 5), 2)
    assert labels[0].tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert torch.equal(labels[0], labels[1])


def test_pixels_elements_and_channels_group_what_they_say() -> None:
    assert pixels((3, 2, 2)).tolist() == [[[0, 1], [2, 3]]] * 3
    assert elements((2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert channels((2, 3)).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_mask_is_spread_over_the_elements_of_its_components() -> None:
    components = Components(channels((2, 3)), (2, 3))
    spread = components.spread(torch.tensor([[0.25, 0.75], [1.0, 0.0]]), torch.tensor([0, 0]))
    assert spread.tolist() == [[[0.25] * 3, [0.75] * 3], [[1.0] * 3, [0.0] * 3]]


def test_each_sample_may_have_a_grouping_of_its_own() -> None:
    labels = torch.tensor([[[0, 0, 1]], [[0, 2, 2]]])
    components = Components(labels, (1, 3))
    mask = torch.tensor([[0.1, 0.2, 0.3]])
    assert components.spread(mask, torch.tensor([0]))[0, 0].tolist() == pytest.approx([0.1, 0.1, 0.2])
    assert components.spread(mask, torch.tensor([1]))[0, 0].tolist() == pytest.approx([0.1, 0.3, 0.3])
    assert components.present(torch.tensor([0, 1])).tolist() == [[True, True, False], [True, False, True]]


def test_elements_of_no_component_are_always_kept_or_always_filled() -> None:
    components = Components(torch.tensor([[0, KEPT, 1], [FILLED, 1, KEPT]]), (2, 3))
    assert components.count == 2
    spread = components.spread(torch.tensor([[0.25, 0.5]]), torch.tensor([0]))
    assert spread[0].tolist() == [[0.25, 1.0, 0.5], [0.0, 0.5, 1.0]]
    assert components.present(torch.tensor([0, 0])).tolist() == [[True, True]] * 2


def test_what_elements_are_worth_is_summed_over_each_component() -> None:
    components = Components(torch.tensor([[[0, 0, 1]], [[1, KEPT, 0]]]), (1, 3))
    heat = torch.tensor([[[1.0, 2.0, -4.0]], [[8.0, 16.0, 32.0]]])
    assert components.gather(heat, torch.tensor([0, 1])).tolist() == [[3.0, -4.0], [32.0, 8.0]]


def test_components_that_others_have_do_not_count_for_a_sample() -> None:
    components = Components(torch.tensor([[[0, 1, 2]], [[KEPT, 1, KEPT]]]), (1, 3))
    assert components.most == 3
    both = torch.tensor([0, 1])
    assert components.share(torch.tensor([[1.0, 0.5, 0.0]]).expand(2, -1), both).tolist() == [0.5, 0.5]
    assert components.share(torch.tensor([[1.0, 0.0, 1.0]]).expand(2, -1), both).tolist() == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(1, 4, dtype=torch.int64), r"method\.components: must label every element.*\[1, 3\].*\[1, 4\]"),
        (torch.tensor([[0, -1, 1]]), "must cover the whole input.*1 of 3 elements have none"),
        (torch.tensor([[0, 2, 2]]), "from 0 to 2 without a gap.*component 1"),
        (torch.full((1, 3), KEPT), "each sample needs a component.*1 of 1 samples have none"),
        (torch.tensor([[[0, 0, 1]], [[KEPT, FILLED, KEPT]]]), "each sample needs a component.*1 of 2 samples"),
    ],
    ids=["another shape", "a gap in the cover", "a gap in the numbers", "nothing to choose", "one with nothing"],
)
def test_a_grouping_that_does_not_fit_is_refused(labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Components(labels, (1, 3))
