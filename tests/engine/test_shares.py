"""Time is shared evenly among those who have something to do, however long their turns are."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from raysweep.engine.shares import Shares

LENGTHS = st.lists(st.floats(0.5, 20), min_size=2, max_size=5)


def play(shares: Shares[int], lengths: list[float], idle: set[int], until: float) -> Counter[int]:
    """Time that each gets while those who are not idle always have a turn to take, until some time is spent."""
    had: Counter[int] = Counter()
    while had.total() < until:
        one = next(one for one in shares.order() if one not in idle)
        shares.charge(one, lengths[one])
        had[one] += lengths[one]  # type: ignore[assignment]
    return had


def joined(count: int) -> Shares[int]:
    shares = Shares[int]()
    for one in range(count):
        shares.join(one)
    return shares


@given(LENGTHS)
def test_two_who_are_never_idle_differ_by_no_more_than_their_longest_turns(lengths: list[float]) -> None:
    had = play(joined(len(lengths)), lengths, set(), 20 * sum(lengths))
    assert max(had.values()) - min(had.values()) <= 2 * max(lengths)


@given(LENGTHS)
def test_who_was_idle_has_saved_nothing_up(lengths: list[float]) -> None:
    shares = joined(len(lengths))
    play(shares, lengths, {0}, 50 * max(lengths))
    had = play(shares, lengths, set(), 20 * sum(lengths))
    assert max(had.values()) - min(had.values()) <= 3 * max(lengths)


@given(LENGTHS)
def test_who_joins_late_gets_as_much_as_the_others_from_then_on(lengths: list[float]) -> None:
    shares = joined(len(lengths) - 1)
    play(shares, lengths, set(), 50 * max(lengths))
    shares.join(len(lengths) - 1)
    had = play(shares, lengths, set(), 20 * sum(lengths))
    assert max(had.values()) - min(had.values()) <= 3 * max(lengths)


def test_who_left_in_the_middle_of_a_turn_is_charged_nothing() -> None:
    shares = joined(2)
    shares.leave(0)
    shares.charge(0, 1.0)
    assert shares.order() == [1]
