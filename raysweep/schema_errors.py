"""What pydantic finds wrong with a sweep file, in this project's words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from raysweep.errors import InputError, did_you_mean, nearest

_RULES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "too_short": "must not be empty",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "string_pattern_mismatch": "must be 1 to 100 letters, digits, '.', '_' and '-', the first a letter or digit",
}


def schema_errors(error: ValidationError, model: type[BaseModel]) -> list[InputError]:
    """One error for each key that does not hold; a key that is only misspelt is not also reported as absent."""
    found_by_pydantic = [_plain(detail) for detail in error.errors() if not _of_other_branch(detail)]
    details = {_location(detail): detail for detail in found_by_pydantic}
    tags = {_location(detail): _tag(detail) for detail in found_by_pydantic}
    unknown = {
        place: _fields(model, place[:-1], tags[place])
        for place, detail in details.items()
        if detail["type"] == "extra_forbidden"
    }
    misspelt = {(*place[:-1], nearest(str(place[-1]), fields)) for place, fields in unknown.items()}
    found = []
    for place, detail in details.items():
        key = ".".join(map(str, place))
        if place in unknown:
            hint = did_you_mean(str(place[-1]), unknown[place])
            found.append(InputError("unknown key", key=key, suggestion=hint))
        elif detail["type"] == "missing":
            found += [InputError("must be given", key=key)] if place not in misspelt else []
        elif detail["input"] is None:
            found.append(InputError("must have a value", key=key))
        else:
            found.append(_broken(detail, key, model, place))
    return found


def _plain(detail: Any) -> Any:
    """What is said of the method's name, as of any other key with choices."""
    if detail["type"] == "union_tag_not_found":
        return {**detail, "type": "missing", "loc": (*detail["loc"], "name")}
    if detail["type"] == "union_tag_invalid":
        expected = {"expected": detail["ctx"]["expected_tags"]}
        name = detail["input"]["name"]
        return {**detail, "type": "literal_error", "loc": (*detail["loc"], "name"), "input": name, "ctx": expected}
    return detail


def _of_other_branch(detail: Any) -> bool:
    """Whether a mapping is refused only because text would do as well: its keys are told apart."""
    return detail["loc"][:2] == ("prefer", "str") and isinstance(detail["input"], dict)


def _location(detail: Any) -> tuple[Any, ...]:
    """The path of keys; of a union (a class is text or a number, a method one of several) pydantic tells the branch."""
    place = tuple(detail["loc"])
    if place[0] == "prefer":
        place = (place[0], *place[2:])
    if _tag(detail) is not None:
        at = _tag_at(place)
        place = (*place[:at], *place[at + 1 :])
    return place[:-1] if place[-2:-1] == ("class",) else place


def _tag(detail: Any) -> str | None:
    """Which method's keys are spoken of."""
    place = detail["loc"]
    at = _tag_at(place)
    return place[at] if len(place) > at + 1 and place[0] == "method" else None


def _tag_at(place: tuple[Any, ...]) -> int:
    """Where pydantic tells the method: below its key, of one of several below its name."""
    return 3 if place[1:2] == ("choice",) else 1


def _broken(detail: Any, key: str, model: type[BaseModel], place: tuple[Any, ...]) -> InputError:
    kind, value = detail["type"], detail["input"]
    if place == ("prefer",):
        return InputError("must be knee, an objective, or a weight for each", key=key, value=value)
    if place[-1] == "class":
        hint = "Write it in quotes" if isinstance(value, bool) else None
        return InputError("must be a class by name or index", key=key, value=value, suggestion=hint)
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return InputError("no such choice", key=key, value=value, suggestion=did_you_mean(str(value), choices))
    rule = _RULES.get(
        kind, detail["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    )
    hint = None
    if kind == "string_type" and isinstance(value, (int, float)):
        hint = "Write it in quotes"
    elif kind == "int_type" and isinstance(value, float) and value.is_integer():
        hint = f"Write {int(value)}"
    elif kind in ("int_type", "float_type") and isinstance(value, str) and value.strip().replace(".", "", 1).isdigit():
        hint = "Write it without quotes"
    elif kind == "model_type":
        hint = f"Valid: {', '.join(sorted(_fields(model, place)))}"
    return InputError(rule.format(**detail.get("ctx", {})), key=key, value=value, suggestion=hint)


def _fields(model: type[BaseModel], place: tuple[Any, ...], tag: str | None = None) -> list[str]:
    """The keys that there may be at `place`; of a method those of the one that `tag` names."""
    schema: Any = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for part in place:
        schema = schema["items"] if isinstance(part, int) else _below(schema, part)
        if tag is not None and "discriminator" in schema:
            schema = {"$ref": schema["discriminator"]["mapping"][tag]}
        options = schema.get("anyOf", [schema])
        schema = next((option for option in options if option.keys() & _DEEPER), schema)
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return list(schema.get("properties", {}))


_MAPPED = ("additionalProperties", "patternProperties")
_DEEPER = {"$ref", "items", *_MAPPED}
"""How a schema says that there is something below."""


def _below(schema: Any, key: str) -> Any:
    """What a key holds, of those that are named, or in a mapping whose keys are anybody's."""
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    if schema.get("additionalProperties"):
        return schema["additionalProperties"]
    return next(iter(schema["patternProperties"].values()))
