"""CARD.md and samples.png, drawn from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from raysweep.zoo.radio.evaluation import estimate
from raysweep.zoo.radio.networks import CITY, MEASURED, SIGNAL

ROWS = 5
TITLES = ("city as Φ is told", "measurements", "truth", "Φ", "Φ_gt", "Φ − truth")

CARD = """# Radio maps in the zoo

Drawn by `python -m raysweep.zoo.radio.recipe` from figures.json, which it measured. The setting of the radio maps in
Heiß, Levie, Resnick, Kutyniok and Bruna (*In-distribution interpretability for challenging modalities*, 2020): what is
the signal of a transmitter everywhere in a city, told a map that lacks some buildings and a few measurements? Windows
are 64 × 64 cells of 4 m, of real cities. All trained on one core of a shared CPU (the seconds are wall-clock) with
torch {card[torch]}.

| channel of x [4, 64, 64], float32 | holds |
| --- | --- |
| 0 city | 1 where the network is told of a building; Φ's map lacks some, Φ_gt's is whole |
| 1 transmitter | 1 in its cell |
| 2 signal | at the measured cells, 0 elsewhere |
| 3 measured | 1 at the measured cells |

The output is the signal [1, 64, 64]: grey, 0 at {data[floor]:.0f} dB of path gain and below, and inside buildings; 1 at
{data[top]:.0f} dB. So 0.1 is {tenth:.1f} dB.

| | steps | windows a step | buildings left out | measurements | seed | seconds | parameters | multiply-adds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

Φ and Φ_gt are one UNet (`networks.UNet`), which groups channels to normalise, so that rows stay independent. In each
step each window is mirrored and turned, and buildings and measured cells are drawn anew; small numbers of measurements
are as frequent as large ones.

## Errors

Root mean squared error in grey over the outdoor cells, by the number of measurements. *Known cities* are {data[known]}
windows in the east of Munich and Florence that share no ground with those that trained, *another city* is {data[other]}
windows of Paris. *Distance alone* is the mean of the training windows at the same distance.

| windows | network and map | distance alone | {counts} |
| --- | --- | --- | {rules} |
{errors}

The rays' own error, {data[noise_windows]} held-out windows against the same ones with four times the rays:
{data[noise]:.3f}.

![city, measurements, truth and estimates](samples.png)

Windows of `zoo://radio/test`; grey are the buildings that Φ is not told of, + is the transmitter.

## Data

| windows | of | for |
| --- | --- | --- |
| {data[train]} | the western 65 % of Munich and Florence | training |
| {data[known]} | the eastern 35 % of both | measuring; ship |
| {data[other]} | Paris, around the Arc de Triomphe (`etoile`) | measuring; ship |

Rendered with Sionna RT 2.2.0 (Hoydis et al., 2023, arXiv:2303.11103) in the city scenes that come with it: a window at
a random place with a random turn, the transmitter 10 m above a random open place in its middle half, receivers at
1.5 m, 5.9 GHz, vertical isotropic antennas, {data[rays]:,} rays, up to 6 reflections, neither refraction nor
diffraction. Windows have at least 6 buildings on 20 to 65 % of their ground, and some signal at 15 % of the outdoor
cells at least. Signal is scaled as in RadioMapSeer (Levie, Yapar, Kutyniok and Caire, *RadioUNet*, 2021), whose noise
floor is used. San Francisco, the fourth scene, stands on hills, which a map of footprints does not show, and is left
out.

`zoo://radio/test` is the {test[windows]} windows that ship. Beside `x` (without {test[missing]} of the buildings, with
{test[measurements]} measurements at random outdoor cells; Φ's error on it is {test[error]:.3f}), `y` and `classes`
(the city), test.npz holds for whoever explains the networks:

| array | |
| --- | --- |
| `truth` [N, 64, 64] | the signal |
| `buildings` [N, 64, 64] | the whole map: 0 outdoors, each building a number from 1 |
| `tx` [N, 2] | the transmitter's row and column |
| `city` [N] | the city's name |

A building is a connected group of built cells, often a whole block: {test[buildings][0]} to {test[buildings][2]} in a
window, {test[buildings][1]} in the median.

## Licences

test.npz and samples.png are made from the scenes' building footprints, © OpenStreetMap contributors: Open Database
License 1.0 (ODbL). Sionna RT, which does not ship with raysweep, is Apache-2.0, © NVIDIA. The weights and the rest are
Apache-2.0, like raysweep. LICENSE, beside this card, has the details.
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    known = figures["card"]["errors"]["known"]
    text = CARD.format(
        **figures,
        tenth=(figures["data"]["top"] - figures["data"]["floor"]) / 10,
        networks="\n".join(_network(name, figures[key]) for name, key in (("Φ", "phi"), ("Φ_gt", "phi_gt"))),
        counts=" | ".join(known["phi"]),
        rules=" | ".join("---" for _ in known["phi"]),
        errors="\n".join(
            row
            for name, words in (("known", "known cities"), ("other", "another city"))
            for row in _errors(words, figures["card"]["errors"][name], figures["test"]["missing"])
        ),
    )
    file.write_text(text, encoding="utf-8")


def draw_samples(file: Path, phi: nn.Module, phi_gt: nn.Module, picture: Path) -> None:
    """Some windows of test.npz, evenly spread: what Φ is told, the truth, and what both networks expect."""
    with np.load(file) as archive:
        chosen = np.linspace(0, len(archive["x"]) - 1, ROWS).round().astype(int)
        x, truth, buildings, tx = (archive[name][chosen] for name in ("x", "truth", "buildings", "tx"))
        names = archive["city"][chosen]
    whole = x.copy()
    whole[:, CITY] = buildings > 0
    expected, expected_gt = (
        estimate(net, torch.from_numpy(given)).numpy() for net, given in ((phi, x), (phi_gt, whole))
    )
    figure = Figure(figsize=(1.9 * len(TITLES), 1.95 * ROWS), layout="constrained")
    for row, cells in enumerate(figure.subplots(ROWS, len(TITLES))):
        measured = np.where(x[row, MEASURED] > 0, x[row, SIGNAL], np.nan)
        left_out = (buildings[row] > 0) & (x[row, CITY] == 0)
        city = np.where(left_out, 0.5, buildings[row] > 0)
        maps = (city, measured, truth[row], expected[row], expected_gt[row])
        for cell, plane, title in zip(cells, maps, TITLES, strict=False):
            cell.imshow(plane.astype(float), cmap="Greys" if title == TITLES[0] else "magma", vmin=0, vmax=1)
            cell.plot(tx[row, 1], tx[row, 0], "c+", markersize=5)
            cell.set_title(f"{names[row]}: {title}" if title == TITLES[0] else title, fontsize=7)
        difference: NDArray[np.float32] = expected[row] - truth[row].astype(np.float32)
        cells[-1].imshow(difference, cmap="RdBu", vmin=-0.5, vmax=0.5)
        cells[-1].set_title(TITLES[-1], fontsize=7)
        for cell in cells:
            cell.set_xticks([])
            cell.set_yticks([])
    figure.savefig(picture, dpi=75)


def _network(name: str, row: dict[str, Any]) -> str:
    ranges = (f"0–{row['missing']}" if row["missing"] else "0", f"0–{row['measurements']}")
    cells = (row["steps"], row["batch"], *ranges, row["seed"], row["seconds"], row["parameters"], row["multiply_adds"])
    return f"| {name} | " + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in cells) + " |"


def _errors(windows: str, errors: dict[str, Any], missing: int) -> list[str]:
    told = {
        "phi": f"Φ: a map without {missing} buildings",
        "phi_whole": "Φ: the whole map",
        "phi_gt": "Φ_gt: the whole map",
    }
    return [
        f"| {windows} | {words} | {errors['distance']:.3f} | "
        + " | ".join(f"{error:.3f}" for error in errors[key].values())
        + " |"
        for key, words in told.items()
    ]
