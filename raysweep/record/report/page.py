"""Gathers what the report shows and fills the template."""

from __future__ import annotations

import base64
import io
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from raysweep.data.waves import waves_of
from raysweep.errors import RaysweepError
from raysweep.objectives.preference import KNEE, Preference
from raysweep.record.explanations import read_explanations
from raysweep.record.note_parts import strung
from raysweep.record.overlay import glimpsed, looked_at
from raysweep.record.report.axes import label
from raysweep.record.report.charts import Point, parallel, pareto, scatter
from raysweep.record.sheets import draw_sheet, write_audio
from raysweep.record.trial import Milestone, Reading, Trial
from raysweep.search.space import METHOD
from raysweep.whole_files import whole

if TYPE_CHECKING:
    from raysweep.data.audio import MelSpec

GLIMPSED = 10
"""Images of a row that shows one step count."""
Direction = Literal["minimise", "maximise"]
_CLEAR = (0, 0, 0, 0)
_SHEETS = {"image": (64, range(6, 11)), "radio": (6, range(1, 2)), "classes": (64, range(1, 2))}
"""The most pictures of a sheet and its possible columns, by medium, and of strips of classes; of others 12 and 3."""


@dataclass(frozen=True)
class ReportInput:
    """All that a report shows.

    Args:
        name: the sweep's.
        description: what a reader must know, in order, as (label: text): method, models, data, target, N, seed,
            numerics, and which features the distance uses.
        trials: in any order and state.
        directions: each objective's direction, in the sweep file's order.
        prefer: which of several objectives rank, as the sweep file says it (`Preference`); all are minimised then.
        folder: the sweep's folder, from which milestones name their explanation files.
        media: "image", "logmel" or "array".
        probability: by trial number, the probability that it is the best.
        methods: of a sweep that compares methods, how probably the best trial is of each; None where it is not known.
        audio: the mel features when explanations can be heard.
        notes: spectra [K, 2, bins] and their waves [K, samples], when what masks keep of them can be heard.
    """

    name: str
    description: Mapping[str, str]
    trials: list[Trial]
    directions: Mapping[str, Direction]
    folder: Path
    prefer: str | Mapping[str, float] = KNEE
    media: str = "image"
    probability: Mapping[int, float] = field(default_factory=dict)
    methods: Mapping[str, float | None] = field(default_factory=dict)
    audio: MelSpec | None = None
    notes: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def objective(self) -> str:
        """The objective that ranks, or the first of those that do."""
        return self.preference.single or next(iter(self.directions))

    @property
    def preference(self) -> Preference:
        """What makes a trial the best."""
        return Preference(list(self.directions), self.prefer)

    def ranked(self) -> list[Trial]:
        """Finished trials with finite objectives, best first; of equals the lower number first."""
        single = self.preference.single
        names = [single] if single else list(self.directions)
        sign = -1.0 if single and self.directions[single] == "maximise" else 1.0
        done = [t for t in self.trials if t.state == "done" and all(math.isfinite(_value(t, name)) for name in names)]
        points = {trial.number: [_value(trial, name) for name in self.directions] for trial in done}
        cost = self.preference.cost(points)
        return sorted(done, key=lambda trial: (sign * float(cost(np.array(points[trial.number]))), trial.number))


def write_report(sweep: ReportInput, path: Path) -> Path:
    """Write one HTML page that needs nothing else: no network, no other file. Everything from outside is escaped."""
    environment = Environment(
        loader=PackageLoader("raysweep.record.report", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["label"] = label
    environment.filters["percent"] = lambda share: f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"
    page = environment.get_template("page.html").render(_content(sweep), style=_own("page.css"), script=_own("page.js"))
    with whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _content(sweep: ReportInput) -> dict[str, Any]:
    ranked = sweep.ranked()
    roles = _roles(ranked)
    points = [_point(sweep, trial, place, len(ranked), roles) for place, trial in enumerate(ranked)]
    parameters = _columns(trial.config for trial in sweep.trials)
    varied = [name for name in parameters if len({str(p.config[name]) for p in points if name in p.config}) > 1]
    return {
        "sweep": sweep,
        "written": datetime.now(timezone.utc).strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        "cards": [_card(sweep, trial, role) for role, trial in roles],
        "best": ranked[0] if ranked else None,
        "finalists": _finalists(sweep, ranked),
        "looks": _looks(sweep, ranked[0]) if ranked else [],
        "second": ranked[1] if len(ranked) > 1 else None,
        "headline": [sweep.objective] if sweep.preference.single else sweep.preference.counting[:3],
        "nearest": _nearest(sweep.preference),
        "margin": abs(_value(ranked[1], sweep.objective) - _value(ranked[0], sweep.objective)) if ranked[1:] else None,
        "counts": {state: sum(t.state == state for t in sweep.trials) for state in ("done", "pruned", "failed")},
        "scatters": [(name, scatter(points, name, sweep.objective)) for name in varied] if points else [],
        "parallel": parallel(points, varied, sweep.objective) if points and varied else None,
        "pareto": _pareto(sweep, points),
        "parameters": parameters,
        "metrics": [n for n in _columns(_readings(t) for t in sweep.trials) if n != sweep.objective],
        "rows": _rows(sweep, ranked, roles),
        "stopped": [trial for trial in sweep.trials if trial.state in ("pruned", "failed")],
    }


def _nearest(preference: Preference) -> str:
    """What a trial that several objectives rank comes nearest to the best of."""
    if len(preference.counting) == len(preference.names):
        return "every objective"
    return f"{', '.join(preference.counting[:-1])} and {preference.counting[-1]}"


def _roles(ranked: list[Trial]) -> list[tuple[str, Trial]]:
    """C1, C2 and C3 of the paper: the best, median and worst configuration."""
    if not ranked:
        return []
    places = {"best": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for role, place in places.items():
        chosen.setdefault(place, role)
    return [(role, ranked[place]) for place, role in chosen.items()]


def _card(sweep: ReportInput, trial: Trial, role: str) -> dict[str, Any]:
    tensors = _tensors(sweep, trial.result)
    explanations = _seen(sweep, tensors)
    sheet, sounds = None, {}
    shown = 0
    if tensors is not None and explanations is not None:
        kind = "classes" if "classes" in tensors else sweep.media
        most, choices = _SHEETS.get(kind, (12, range(3, 4)))
        shown = min(len(explanations), most)
        if len(choices) == 1 and shown > choices[0]:
            shown -= shown % choices[0]
        # how many images wide each is: 2, beside its heat map
        across = max(1, explanations.shape[-1] // explanations.shape[-2]) if kind == "image" else 1
        wished = [max(1, count // across) for count in choices]
        columns = min(wished, key=lambda c: (-shown % c, abs(c - 8 / across)))  # a full last row
        picture = draw_sheet(explanations, sweep.media, limit=shown, columns=columns, cell=60, paper=_CLEAR)
        sheet = _data_uri("image/png", _png(picture))
        sounds = _sounds(sweep, tensors)
    code = {"best": "C1", "median": "C2", "worst": "C3"}[role]
    return {
        "role": role,
        "code": code,
        "trial": trial,
        "readings": _readings(trial),
        "sheet": sheet,
        "sounds": sounds,
        "what": "classes" if tensors is not None and "classes" in tensors else "explanations",
        "shown": shown,
        "total": len(explanations) if explanations is not None else 0,
    }


def _finalists(sweep: ReportInput, ranked: list[Trial]) -> list[dict[str, Any]]:
    """The best configuration of each method that the sweep compares, and how probably the best is one of it."""
    found: dict[str, Trial] = {}
    for trial in ranked if sweep.methods else ():
        found.setdefault(trial.config[METHOD], trial)
    return [
        {
            "method": method,
            "trial": trial,
            "settings": ", ".join(f"{n} {label(value)}" for n, value in trial.config.items() if n != METHOD),
            "readings": _readings(trial),
            "probability": sweep.methods.get(method),
            "strip": _thumbnail(sweep, trial.result, GLIMPSED),
        }
        for method, trial in found.items()
    ]


def _looks(sweep: ReportInput, best: Trial) -> list[dict[str, Any]]:
    """The best configuration at every step count at which it, or a trial that differs in steps alone, was scored."""
    found: dict[int, Milestone] = {}
    for trial in sweep.trials:
        if _trajectory(trial) == _trajectory(best):
            found |= {one.step: one for one in trial.milestones if one.examples is None and one.explanations}
    return [
        {"step": step, "readings": found[step].readings, "strip": _thumbnail(sweep, found[step], GLIMPSED)}
        for step in sorted(found)
    ]


def _trajectory(trial: Trial) -> dict[str, Any]:
    return {name: value for name, value in trial.config.items() if name != "steps"}


def _rows(sweep: ReportInput, ranked: list[Trial], roles: list[tuple[str, Trial]]) -> list[dict[str, Any]]:
    place = {trial.number: rank for rank, trial in enumerate(ranked, start=1)}
    role = {trial.number: name for name, trial in roles}
    ordered = sorted(sweep.trials, key=lambda trial: (place.get(trial.number, math.inf), trial.number))
    return [
        {
            "trial": trial,
            "rank": place.get(trial.number),
            "role": role.get(trial.number, ""),
            "readings": _readings(trial),
            "thumbnail": _thumbnail(sweep, trial.result),
        }
        for trial in ordered
    ]


def _point(sweep: ReportInput, trial: Trial, place: int, count: int, roles: list[tuple[str, Trial]]) -> Point:
    measured = trial.result.objectives if trial.result else {}
    role = next((name for name, other in roles if other.number == trial.number), "")
    settings = ", ".join(f"{name} {label(value)}" for name, value in trial.config.items())
    tip = f"#{trial.number} · {sweep.objective} {label(_value(trial, sweep.objective))} · {settings}"
    objectives = {name: (m.value, m.low, m.high) for name, m in measured.items()}
    return Point(trial.number, trial.config, objectives, role, place / max(count - 1, 1), tip)


def _pareto(sweep: ReportInput, points: list[Point]) -> Markup | None:
    names = list(sweep.directions)
    if len(names) != 2:
        return None
    whole = [p for p in points if all(name in p.objectives and math.isfinite(p.objectives[name][0]) for name in names)]
    sign = np.array([1.0 if sweep.directions[name] == "minimise" else -1.0 for name in names])
    costs = {p.number: sign * [p.objectives[name][0] for name in names] for p in whole}
    front = {
        number
        for number, cost in costs.items()
        if not any((other <= cost).all() and (other < cost).any() for other in costs.values())
    }
    return pareto(whole, names[0], names[1], front) if whole else None


def _readings(trial: Trial) -> Mapping[str, Reading]:
    return trial.result.readings if trial.result else {}


def _value(trial: Trial, objective: str) -> float:
    measured = trial.result.objectives.get(objective) if trial.result else None
    return measured.value if measured else math.nan


def _columns(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _tensors(sweep: ReportInput, milestone: Milestone | None) -> dict[str, np.ndarray] | None:
    if milestone is None or milestone.explanations is None:
        return None
    try:
        return read_explanations(sweep.folder / milestone.explanations)
    except RaysweepError:
        return None  # a report of what is left is better than none


def _seen(
    sweep: ReportInput, tensors: dict[str, np.ndarray] | None, by: Callable[..., np.ndarray] = looked_at
) -> np.ndarray | None:
    try:
        return None if tensors is None else by(tensors, sweep.media)
    except KeyError:
        return None


def _thumbnail(sweep: ReportInput, milestone: Milestone | None, images: int = 4) -> str | None:
    explanations = _seen(sweep, _tensors(sweep, milestone), by=glimpsed)
    if explanations is None:
        return None
    count = {"image": images, "radio": 1}.get(sweep.media, 2)  # other pictures are wide
    strip = draw_sheet(explanations[:count], sweep.media, columns=count, cell=1, paper=_CLEAR)
    return _data_uri("image/png", _png(strip, height=64))


def _sounds(sweep: ReportInput, tensors: dict[str, np.ndarray]) -> dict[str, str]:
    """WAV files by what they play: explanations, or notes and what masks keep of them and remove."""
    found = {}
    if sweep.audio is not None:
        with tempfile.TemporaryDirectory() as scratch:
            sound = write_audio(tensors["explanation"], Path(scratch) / "sound.wav", sweep.audio)
            found = {"": sound.read_bytes()} if sound else {}
    if sweep.notes is not None and "mask" in tensors:
        found = strung(waves_of(tensors["sample"], *sweep.notes), tensors["mask"])
    return {name: _data_uri("audio/wav", content) for name, content in found.items()}


def _png(picture: Image.Image, height: int | None = None) -> bytes:
    """PNG bytes; a palette of 256 colours keeps a page of many sheets small."""
    if height and picture.height > height:
        picture = picture.resize((max(1, picture.width * height // picture.height), height))
    stream = io.BytesIO()
    picture.quantize(256, method=2).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _own(name: str) -> Markup:
    """A file of this folder, trusted as it is."""
    return Markup(Path(__file__).with_name(name).read_text(encoding="utf-8"))
