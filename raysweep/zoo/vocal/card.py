"""CARD.md, samples.png and the two sound files, made from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from raysweep.data.audio import VOCAL, griffin_lim, write_wav

COLUMNS, REAL_ROWS, MADE_ROWS = 6, 2, 4

CARD = """# Singing in the zoo

Drawn by `python -m raysweep.zoo.vocal.recipe` from figures.json, which it measured. The setting of Mishra, Stoller,
Benetos, Sturm and Dixon (*GAN-based generation and automatic selection of explanations for neural networks*, ICLR 2019
SafeML workshop): 1.64 s of sound at 22 050 Hz as log-mel [1, 80, 115], float32, natural log of max(mel, 1e-7) (FFT
1024, hop 315, 27.5–8000 Hz; `raysweep.data.audio`). The classes are non-vocal (instruments) and vocal (sung notes over
instruments). Classifier and judge standardise inside and give one logit, above 0 for vocal. All trained on one core of
a shared CPU (the seconds are wall-clock) with torch {card[torch]}.

| | held-out accuracy | vocal | non-vocal | training excerpts | seed | length | seconds | parameters | multiply-adds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

Held out: {data[test]:,} excerpts whose speaker and whose SoundFont trained nothing. On the {test[excerpts]} of them
in `zoo://vocal/test` the classifier is right on {test[classifier][accuracy]:.1%}, the judge on
{test[judge][accuracy]:.1%}.

## Data

A vocal excerpt is speech, slowed and re-pitched to a random melody with glides and vibrato by WORLD, 0 to 12 dB above a
random accompaniment. A non-vocal excerpt is an accompaniment, and in three of four cases a lead instrument with the
same melodies, balance and band (the speech has nothing above 4 kHz; neither has the lead). General MIDI's voices are
left out. Room, equaliser, low-pass, noise floor and loudness are drawn alike for both classes.

| split | excerpts | speakers | SoundFont | for |
| --- | --- | --- | --- | --- |
| train | {data[train]:,} | Allison Smith (English), Carlo Flora (Italian) | TimGM6mb | classifier, generator |
| judge | {data[judge]:,} | Allison Smith (Spanish), Maxim Topal's (Russian) | TimGM6mb | judge |
| test | {data[test]:,} | June Wallack (French) | MuseScore General | measuring; the first {test[excerpts]} ship |

So classifier and judge share a voice, but no recording, and a SoundFont, but no excerpt. In train and judge the
formants are moved by up to a factor of 1.2, to make many voices of few; in test they are not. FluidR3 is not used:
MuseScore General is made from it. This is synthetic singing with telephone bandwidth: do not expect the classifier to
know singing in records.

## Generator

The paper's layers, latent 128. A GAN trained for {generator[steps]:,} steps of {generator[batch]} training excerpts of
both classes (`adversarial.py` says how); the averaged weights of the last step are kept. Neither classifier nor judge
played a part in it.

![real excerpts above, samples below](samples.png)

[samples.wav](samples.wav): four samples. [real.wav](real.wav): a held-out vocal excerpt through the same way back to
sound (Griffin-Lim), to tell what that way costs.

Squared Fréchet distance in the judge's 128 penultimate features, {card[n]} against {card[n]}. It is biased upwards at
small N, and so is the floor. *Training excerpts* is what a perfect generator of the training distribution would get.

| to | samples | training excerpts | others of the same split (floor) | samples / floor |
| --- | --- | --- | --- | --- |
{distances}

Of {card[samples]:,} samples the judge hears singing in {card[vocal]:.1%}, the classifier in
{card[vocal_by_classifier]:.1%}; half of the training excerpts are vocal.

## Licences

test.npz, real.wav and the upper rows of samples.png: CC BY-SA 3.0, for they hold speech under that licence (© 2006-2008
June Wallack) over MuseScore General (MIT). The training excerpts, which do not ship, hold speech by Allison Smith
(CC BY-SA 3.0), by Carlo Flora and from Maxim Topal (CC BY 3.0), and TimGM6mb (GPL-2). The rest is Apache-2.0, like
raysweep. LICENSE, beside this card, has the details.
"""


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    held, training = figures["card"]["held_out"], figures["card"]["training"]
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name], figures) for name in ("classifier", "judge", "generator")),
        distances=f"{_distances('held-out', held)}\n{_distances('training', training)}",
    )
    file.write_text(text, encoding="utf-8")


def draw_samples(real: Tensor, made: Tensor, logits: Tensor, file: Path) -> None:
    """A sheet: real non-vocal, real vocal excerpts (alternating in `real`), then samples with the judge's logits."""
    rows = REAL_ROWS + MADE_ROWS
    figure = Figure(figsize=(2.2 * COLUMNS, 1.7 * rows), layout="constrained")
    cells = figure.subplots(rows, COLUMNS).flatten()
    pictures = [*real[0 : 2 * COLUMNS : 2], *real[1 : 2 * COLUMNS : 2], *made[: MADE_ROWS * COLUMNS]]
    titles = ["real, non-vocal"] * COLUMNS + ["real, vocal"] * COLUMNS + [f"judge {logit:+.1f}" for logit in logits]
    for cell, picture, title in zip(cells, pictures, titles, strict=False):
        cell.imshow(picture[0].float(), origin="lower", aspect="auto", cmap="magma", vmin=-9, vmax=4)
        cell.set_title(title, fontsize=8)
        cell.axis("off")
    figure.savefig(file, dpi=45)


def write_sounds(real: Tensor, made: Tensor, folder: Path) -> None:
    """samples.wav, the log-mels `made` [N, 1, 80, 115] one after the other, and real.wav, all by Griffin-Lim."""
    pause = np.zeros(VOCAL.sample_rate // 4, np.float32)
    parts = [part for picture in made for part in (_heard(picture), pause)]
    write_wav(folder / "samples.wav", np.concatenate(parts[:-1]))
    write_wav(folder / "real.wav", _heard(real))


def _heard(picture: Tensor) -> NDArray[np.float32]:
    sound = griffin_lim(picture[0].float().numpy())
    loud: NDArray[np.float32] = 0.8 * sound / max(1e-6, float(np.abs(sound).max()))
    return loud


def _distances(name: str, row: dict[str, float]) -> str:
    training = f"{row['training']:.3f}" if "training" in row else "–"
    ratio = row["samples"] / row["floor"]
    return f"| {name} excerpts | {row['samples']:.3f} | {training} | {row['floor']:.3f} | {ratio:.1f} |"


def _network(name: str, row: dict[str, Any], figures: dict[str, Any]) -> str:
    shares = [f"{row[key]:.1%}" if key in row else "–" for key in ("accuracy", "vocal", "non-vocal")]
    length = f"{row['epochs']} epochs" if "epochs" in row else f"{row['steps']:,} steps"
    excerpts = row.get("excerpts", figures["data"]["train"])
    cells = (excerpts, row["seed"], length, row["seconds"], row["parameters"], row["multiply_adds"])
    return f"| {name} | " + " | ".join([*shares, *(f"{c:,}" if isinstance(c, int) else c for c in cells)]) + " |"
