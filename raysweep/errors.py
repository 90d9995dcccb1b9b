"""What can go wrong, in words a user can act on.

Every error raysweep raises on purpose is a `RaysweepError`. `InputError` is the one a user can mend: it names the file,
the line, the key, the rule and the value, as far as the room that raises it knows them; `sweepfile` fills in the rest.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_ABSENT: Any = object()


class RaysweepError(Exception):
    """The root of every error raised on purpose."""


class InputError(RaysweepError):
    """Something the user wrote does not hold: `rule` says what should, `value` what was found.

    Args:
        rule: what must be true, as a sentence fragment ("must be above 0").
        key: dotted key of the sweep file (`space.lr.choice`).
        value: what was found there; left out of the message when not given.
        file, line: where; line counts from 1.
        suggestion: the nearest valid name, or what to do.
    """

    def __init__(
        self,
        rule: str,
        *,
        key: str | None = None,
        value: Any = _ABSENT,
        file: str | None = None,
        line: int | None = None,
        suggestion: str | None = None,
    ) -> None:
        self.rule, self.key, self.value = rule, key, value
        self.file, self.line, self.suggestion = file, line, suggestion
        super().__init__(self._message())

    def _message(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        key = f"{self.key}: " if self.key else ""
        found = "" if self.value is _ABSENT else f" (found {_shorten(self.value)})"
        hint = f". {self.suggestion}" if self.suggestion else ""
        text = f"{place}{key}{self.rule}{found}{hint}"
        return "".join(
            sign if sign.isprintable() else repr(sign)[1:-1] for sign in text
        )  # one line, whatever it quotes

    def __str__(self) -> str:
        return self._message()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.__dict__.copy(), self.value is _ABSENT))


class SweepConflict(InputError):
    """The same name with another model, data set or objective: the difference is in the message."""


class StorageError(RaysweepError):
    """A sweep's folder cannot be read or written."""


class TrialFailed(RaysweepError):
    """One trial cannot give a result (its message is the trial's recorded reason); the sweep goes on."""


class OutOfMemory(RaysweepError):
    """Lanes of `slots` rows do not fit into memory; narrower ones may."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        super().__init__(slots)

    def __str__(self) -> str:
        return f"out of memory with lanes of {self.slots} rows"


class HostLost(RaysweepError):
    """No host answered within the deadline."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None when none is close."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return close[0] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest valid one, else all of them."""
    options = sorted(choices)
    close = nearest(word, options)
    return f"Did you mean '{close}'?" if close else f"Valid: {', '.join(options)}"


def check_choice(value: str, choices: Iterable[str], *, key: str) -> None:
    """Whether a named variant is one of those that there are.

    Raises:
        InputError: it is not; the nearest one is suggested.
    """
    known = list(choices)
    if value not in known:
        raise InputError("no such option", key=key, value=value, suggestion=did_you_mean(value, known))


def _shorten(value: Any, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _rebuild(state: dict[str, Any], absent: bool) -> InputError:
    error = InputError(state["rule"])
    error.__dict__.update(state)
    if absent:
        error.value = _ABSENT
    return error
