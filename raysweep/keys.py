"""What all keys of a sweep file have in common."""

from __future__ import annotations

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Keys(BaseModel):
    """A mapping that holds these keys and no others, each of its own type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def short(name: str) -> BeforeValidator:
    """Let a bare value stand for a mapping with the one key `name`."""
    return BeforeValidator(lambda value: value if isinstance(value, (dict, BaseModel)) else {name: value})
