"""Makes the excerpts: instruments alone (non-vocal), and sung notes over instruments (vocal), as log-mel [80, 115].

Whoever tells the classes apart must hear the voice, for nothing else differs: three in four non-vocal excerpts have a
lead instrument with the melodies, vibrato, balance and 4 kHz band of the telephone-quality voice, and room, equaliser,
low-pass, noise floor and loudness are drawn alike for both. Excerpt i of a split depends on (split, i) only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from raysweep.data.audio import log_mel
from raysweep.errors import InputError
from raysweep.zoo.vocal.networks import FRAMES
from raysweep.zoo.vocal.orchestra import backing, lead_instrument, orchestra
from raysweep.zoo.vocal.score import MARGIN, RATE, SAMPLES, SCALES, Rng, Wave
from raysweep.zoo.vocal.singing import sing


@dataclass(frozen=True)
class Split:
    """What a split is made of; `warp` as in `singing.sing`."""

    speakers: tuple[str, ...]
    soundfont: str
    size: int
    seed: int
    warp: float


# Nothing is trained on the test's speaker and SoundFont; the judge learns from recordings that the classifier does not.
# FluidR3 is left out: MuseScore General is made from it.
SPLITS = {
    "train": Split(("en_US_f_Allison", "it_IT_m_Carlo"), "sf2/TimGM6mb.sf2", 7000, 1, 0.2),
    "judge": Split(("es_MX_f_Allison", "ru_RU_f_IvrvoiceRU"), "sf2/TimGM6mb.sf2", 3500, 2, 0.2),
    "test": Split(("fr_CA_f_June",), "sf3/MuseScore_General_Lite.sf3", 1000, 3, 0.0),
}


def excerpts(split: Split, folder: Path, shard: int = 250) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """All of a split, x [N, 1, 80, 115] and y [N]. Shards in `folder` are read, the others rendered and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    sounds = []
    for start in range(0, split.size, shard):
        stop = min(start + shard, split.size)
        file = folder / f"{split.seed}-{start}-{stop}.npy"
        if not file.exists():
            part = np.stack([excerpt(split, index)[0] for index in range(start, stop)]).astype(np.float16)
            unfinished = file.with_suffix(".part")
            with unfinished.open("wb") as out:
                np.save(out, part)
            unfinished.rename(file)
        sounds.append(np.load(file))
    return np.concatenate(sounds)[:, None], np.arange(split.size) % 2


def excerpt(split: Split, index: int) -> tuple[NDArray[np.float32], int]:
    """Excerpt `index` of a split: log-mel [80, 115] and its class, 1 for vocal (every other one)."""
    sound, label = excerpt_wave(split, index)
    return log_mel(sound)[:, MARGIN : MARGIN + FRAMES], label


def excerpt_wave(split: Split, index: int) -> tuple[Wave, int]:
    """The sound behind `excerpt`, 0.09 s longer: [SAMPLES] in [-1, 1]."""
    rng, label = np.random.default_rng([split.seed, index]), index % 2
    band = orchestra(split.soundfont)
    root, scale = int(rng.integers(12)), SCALES[rng.integers(len(SCALES))]
    music = _until_audible(lambda: band.play(backing(rng, root, scale)))
    if label:
        lead = _until_audible(lambda: sing(split.speakers, split.warp, rng, root, scale))
    elif rng.random() < 0.75:
        lead = _until_audible(lambda: lead_instrument(band, rng, root, scale))
    else:
        return _produce(music, rng), label
    balance = 10 ** (rng.uniform(0, 12) / 20)
    return _produce(music / _loudness(music) + balance * lead / _loudness(lead), rng), label


def _produce(mix: Wave, rng: Rng) -> Wave:
    """What a studio and a tape do, alike for both classes: room, tone, bandwidth, noise, loudness."""
    if rng.random() < 0.5:
        seconds = rng.uniform(0.1, 0.8)
        time = np.arange(int(seconds * RATE)) / RATE
        room = rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds) * rng.uniform(0.02, 0.08)
        mix = signal.fftconvolve(mix, np.concatenate([[1.0], room]))[:SAMPLES]
    corner, gain = np.exp(rng.uniform(np.log(150), np.log(6000))), 10 ** (rng.uniform(-8, 8) / 20)
    low = signal.sosfilt(signal.butter(1, corner, fs=RATE, output="sos"), mix)
    mix = low + gain * (mix - low)
    if rng.random() < 0.4:
        mix = signal.sosfilt(signal.butter(4, rng.uniform(3000, 10000), fs=RATE, output="sos"), mix)
    hiss = rng.standard_normal(SAMPLES)
    hiss = signal.lfilter([1.0], [1.0, -rng.uniform(0, 0.95)], hiss)
    mix = mix / _loudness(mix) + 10 ** (rng.uniform(-70, -35) / 20) * hiss / _loudness(hiss)
    mix = mix / _loudness(mix) * 10 ** (rng.uniform(-32, -14) / 20)
    return mix / max(1.0, float(np.abs(mix).max()))


def _until_audible(make: Callable[[], Wave], tries: int = 50) -> Wave:
    for _ in range(tries):
        sound = make()
        if np.isfinite(sound).all() and _loudness(sound) > 1e-3:
            return sound
    raise InputError("an excerpt stayed silent", suggestion="Are the speech and SoundFont packages whole?")


def _loudness(sound: Wave) -> float:
    return float(np.sqrt(np.mean(sound**2)))
