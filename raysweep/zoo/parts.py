"""What recipes share: parts that are rebuilt alone, each written whole or not at all, and figures measured of each."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from raysweep.whole_files import whole
from raysweep.zoo import ModelEntry

Net = TypeVar("Net", bound=nn.Module)
Figures = Mapping[str, Any]


def command_line(doc: str | None, parts: Iterable[str]) -> argparse.ArgumentParser:
    """A recipe's options, to which it adds its own; `doc` is its docstring."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--only", choices=parts, action="append", help="rebuild this part alone (repeatable)")
    return parser


def rebuild(
    parts: Mapping[str, Callable[[], Figures]],
    only: Iterable[str] | None,
    folder: Path,
    write_card: Callable[[dict[str, Any], Path], object],
) -> None:
    """Make all parts, or only some, and keep what each measured; draw the card once all have been measured.

    Args:
        parts: what makes each part of `folder`, in order, and gives its figures.
        only: names of those to make.
        write_card: is given all figures, and the card's file.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)  # sums in one order: the same weights on every machine of a kind
    for part in only or parts:
        known = record_figures(folder, part, parts[part]())
        if known.keys() >= parts.keys():
            write_card(known, folder / "CARD.md")


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write a network's tensors, from whatever device."""
    with whole(file) as partial:
        save_file({name: tensor.cpu().contiguous() for name, tensor in weights.items()}, partial)
        partial.chmod(0o644)


def with_weights(net: Net, file: Path) -> Net:
    """A network that has them, in eval mode, and learns no more."""
    net.load_state_dict(load_file(file))
    return net.eval().requires_grad_(False)


def loaded(entry: ModelEntry) -> Any:
    """A network of the zoo with its weights, in eval mode, which learns no more."""
    return with_weights(entry.build(), entry.weights)


def record_figures(folder: Path, part: str, figures: Figures) -> dict[str, Any]:
    """Keep what was measured of a part in `figures.json`; of all parts what is known now."""
    file = folder / "figures.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known[part] = figures
    with whole(file) as partial:
        partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    logging.info("%s: %s", part, figures)
    return dict(known)
