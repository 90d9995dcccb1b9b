"""CARD.md, made from what the recipe measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.zoo.voices.networks import CLASSES
from raysweep.zoo.voices.sources import SOURCES, SPLITS

CARD = """# Voices in the zoo

Drawn by `python -m raysweep.zoo.voices.recipe` from figures.json, which it measured. The setting of the audio probe of
Zhang, Zhou, Zhang, Cox and Chang (*An adversarial framework for generating unseen images by activation maximization*,
AAAI 2022): men, women, and what is no human voice. An excerpt is 0.97 s of sound at 8 kHz as log-mel [1, 32, 32],
float32, natural log of the magnitude in steps of 1/16, from -4 to 5 (FFT 512, hop 250, 60–3700 Hz;
`raysweep.data.audio`). Classifiers and judge standardise inside and give three logits. All trained on one core of a
shared CPU with torch {attacks[torch]}.

| | test accuracy | men | women | non-human | training excerpts | seed | epochs | CPU seconds | parameters |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{networks}

## Data

Every sound comes to 8 kHz and one channel, is filtered to 60–3700 Hz, brought to one loudness, and gets white noise
45 dB below, so that neither level nor bandwidth nor silence tells the class. Parts of a recording lie half a second
apart; at least a third of a part must be heard.

| split | men | women | non-human | recordings | for |
| --- | --- | --- | --- | --- | --- |
{splits}

No speaker, piece of music or sample pack is in two of: the classifiers' excerpts, the judge's, and `seen` with `test`.
These two share speakers and packs, so that a generator is compared with what it might have learnt, and no recording:
the array `recording` of both files names each excerpt's.

| source | class | heard | excerpts | licence | Debian package |
| --- | --- | --- | --- | --- | --- |
{sources}

Who is a man: Asterisk's folders say so (`it_IT_m_Carlo`, `en_US_f_Allison`), and the packages name the speakers. The
big fish of Fish Fillets is a he, the small one a she; medians of 25 recordings are 134 and 274 Hz in Czech, 134 and 206
Hz in Dutch (WORLD's harvest). Tux Paint's speakers are not named: they are sorted by pitch alone (14 recordings:
Danish 118, Bulgarian 124, Russian 129, French 137, Catalan 140 Hz; Greek 205, Belarusian 229, Spanish 246 Hz), and one
may be misnamed. Carlo Flora speaks high (156 Hz), Paola Dal Zot low (177 Hz). Two to four voices a class and split are
few: what a classifier learns of men and women here is what tells these speakers apart.

Two choices make pitch the attribute, rather than show that it is. The stamps' speakers are men or women because of it.
And this is the second arrangement, made after a look at the first one's test: there, Carlo Flora and Paola Dal Zot
trained the classifiers in place of the Danish, Greek and Belarusian speakers, music on hold was among the other sounds,
and a recording gave up to 120 excerpts instead of 16. Its regular classifier named 62.1% of its test rightly, 45.7% of
men, and its judge, with neither of the two speakers, 76.2% and 91.7%. All three were changed together, so none is known
to be the cause, and the accuracies above are those of an arrangement that was chosen by such accuracies.

## Pitch

The attribute that an ear follows best. Median fundamental frequency of the test excerpts, in Hz, after the way back
from the log-mel to a sound (Griffin-Lim, 32 iterations; `hearing.py`, `pitch.py`):

| | voiced | lower quartile | median | upper quartile |
| --- | --- | --- | --- | --- |
{pitches}

## Regular and robust classifiers

One architecture; the same excerpts, seed and schedule. `robust` is trained on excerpts attacked by projected gradient
descent (Madry et al., 2018): {attacks[training_steps]} steps within an L2 ball of radius {attacks[radius]:g}, in units
of the log-mels' whole range (9 natural units a number). It calls more men women than `regular` does (the table at the
top). Under {attacks[steps]} steps and {attacks[restarts]} restarts with the same radius (seed {attacks[seed]}), an
excerpt counts as right only if no restart deceives the network:

| | test | test, attacked |
| --- | --- | --- |
| regular | {regular[test][accuracy]:.1%} | {attacks[left][regular]:.1%} |
| robust | {robust[test][accuracy]:.1%} | {attacks[left][robust]:.1%} |

## Licences

seen.npz and test.npz hold log-mels of recordings, each under its own licence (the table above; LICENSE, beside this
card). The weights were trained on excerpts that do not ship. The rest is Apache-2.0, like raysweep.
"""
_FOR = {
    "classifier": "the regular and the robust classifier",
    "judge": "the judge",
    "seen": "training generators; `zoo://voices/seen`",
    "test": "comparing and measuring; `zoo://voices/test`",
}


def write_card(figures: dict[str, Any], file: Path) -> None:
    """Fill the card with the recipe's figures; every part must have been built."""
    text = CARD.format(
        **figures,
        networks="\n".join(_network(name, figures[name]) for name in ("regular", "robust", "judge")),
        splits="\n".join(_split(name, figures["data"][name]) for name in SPLITS),
        sources="\n".join(_sources(figures["data"])),
        pitches="\n".join(_pitch(name, row) for name, row in figures["pitch"].items()),
    )
    file.write_text(text, encoding="utf-8")


def _network(name: str, row: dict[str, Any]) -> str:
    shares = [f"{row['test'][part]:.1%}" for part in ("accuracy", *CLASSES)]
    numbers = [f"{row[part]:,}" for part in ("excerpts", "seed", "epochs", "seconds", "parameters")]
    return f"| {name} | {' | '.join([*shares, *numbers])} |"


def _split(name: str, row: dict[str, Any]) -> str:
    counts = " | ".join(f"{row['per_class'][one]:,}" for one in CLASSES)
    return f"| {name} | {counts} | {row['recordings']:,} | {_FOR[name]} |"


def _sources(data: dict[str, Any]) -> list[str]:
    rows = []
    for purpose, sources in SOURCES.items():
        splits = [split for split, mine in SPLITS.items() if mine == purpose]
        for one in sources:
            counts = ", ".join(f"{data[split]['sources'].get(one.name, 0):,} {split}" for split in splits)
            name = CLASSES[one.label]
            rows.append(f"| {one.name} | {name} | {one.who} | {counts} | {one.licence} | `{one.package}` |")
    return rows


def _pitch(name: str, row: dict[str, Any]) -> str:
    return f"| {name} | {row['voiced']} of {row['of']} | " + " | ".join(f"{q:.0f}" for q in row["quartiles"]) + " |"
