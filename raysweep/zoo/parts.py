"""What recipes write: each part whole or not at all, and what was measured of it beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from raysweep.whole_files import whole

Net = TypeVar("Net", bound=nn.Module)


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write a network's tensors, from whatever device."""
    with whole(file) as partial:
        save_file({name: tensor.cpu().contiguous() for name, tensor in weights.items()}, partial)
        partial.chmod(0o644)


def with_weights(net: Net, file: Path) -> Net:
    """A network that has them, in eval mode, and learns no more."""
    net.load_state_dict(load_file(file))
    return net.eval().requires_grad_(False)


def record_figures(folder: Path, part: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what was measured of a part in `figures.json`; of all parts what is known now."""
    file = folder / "figures.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known[part] = figures
    with whole(file) as partial:
        partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    logging.info("%s: %s", part, figures)
    return dict(known)
