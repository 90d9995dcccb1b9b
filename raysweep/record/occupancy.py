"""A sweep's occupancy log: how full the lanes were in the steps that its rows took part in, and shared with whom."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def append_occupancy(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to the log in a sweep's folder; its driver is the only one to write there."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if text:
        path = _log(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def read_occupancy(folder: Path) -> list[dict[str, Any]]:
    """The log's lines; one that a killed driver has left half-written is passed over."""
    try:
        text = _log(folder).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def mean_occupancy(folder: Path) -> dict[str, float] | None:
    """Over all steps with rows of this sweep: share of slots that held a row, of any sweep (`occupancy`), and share of
    the steps in which another sweep had rows too (`shared`). None before the first step."""
    lines = read_occupancy(folder)
    steps = sum(line["steps"] for line in lines)
    if not steps:
        return None
    slots = sum(line["steps"] * line["slots"] for line in lines)
    return {
        "occupancy": sum(line["row_steps"] for line in lines) / slots,
        "shared": sum(line["shared_steps"] for line in lines) / steps,
    }


def occupancy_in_words(mean: Mapping[str, float]) -> str:
    """`lanes 87 % full`, and how much of that time others shared them."""
    full = f"lanes {100 * mean['occupancy']:.0f} % full"
    return f"{full}, shared with other sweeps in {100 * mean['shared']:.0f} % of the steps" if mean["shared"] else full


def _log(folder: Path) -> Path:
    return folder / "logs" / "occupancy.jsonl"
