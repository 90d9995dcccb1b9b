"""The report is one page that needs nothing else, shows what won, and lets nothing from outside run."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep.data.load import load_data
from raysweep.record.explanations import write_explanations
from raysweep.record.note_parts import strung
from raysweep.record.report import ReportInput, write_report
from raysweep.record.report.axes import axis_of, label, number_axis
from raysweep.record.trial import Measured, Milestone, Trial

_EVIL = "<script>alert('x')</script>"


class _Page(HTMLParser):
    """Counts tags and collects what the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.rows: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = dict(attrs)
        self.loads += [str(known[name]) for name in ("src", "href") if name in known]
        if tag == "tr" and "data-trial" in known:
            self.rows.append(known)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    images = load_data("zoo://fashion/test").x
    for number in range(27):
        write_explanations(folder / f"explanations/{number}.safetensors", {"explanation": images[number:][:50]})
    return folder


def _trials(objectives: int = 1) -> list[Trial]:
    """A grid of 27 in which trial n has objective n² + 1: 0 is best, 13 the median, 26 worst."""
    trials = []
    for number in range(27):
        config = {"lr": 10.0 ** (number % 3 - 3), "steps": (100, 500, 1000)[number // 9], "prior": number // 3 % 3}
        value = float(number**2 + 1)
        scores = {"response_fd": Measured(value, value / 2, value * 2), "sparsity": Measured(-value, -value, 0.0)}
        measured = dict(list(scores.items())[:objectives])
        metrics = {"recognition": 0.75, "recognition.low": 0.6, "recognition.high": 0.9}
        milestone = Milestone(config["steps"], 1.0, measured, metrics, f"explanations/{number}.safetensors")
        trials.append(Trial(number, f"k{number}", config, "done", [milestone]))
    return trials


def _report(folder: Path, path: Path, trials: list[Trial], **changes: object) -> str:
    sweep = ReportInput(
        "shoes", {"Method": "AM"}, trials, {"response_fd": "minimise"}, folder, probability={0: 0.9, 1: 0.1}
    )
    return write_report(replace(sweep, **changes), path).read_text(encoding="utf-8")


def test_best_median_and_worst_stand_side_by_side_with_their_pictures(folder: Path, tmp_path: Path) -> None:
    text = _report(folder, tmp_path / "r.html", _trials())
    cards = re.findall(r'class="code">(C\d)</span> (\w+) <a href="#trial-(\d+)"', text)
    assert cards == [("C1", "Best", "0"), ("C2", "Median", "13"), ("C3", "Worst", "26")]
    assert text.count('<img class="sheet" src="data:image/png;base64,') == 3
    assert "90 %" in text


@pytest.mark.parametrize(("wide", "columns"), [(1, 10), (2, 5), (20, 1)])
def test_images_beside_their_heat_maps_take_as_much_room_as_two_images(tmp_path: Path, wide: int, columns: int) -> None:
    for number in range(2):
        made = {"explanation": np.zeros((10, 3, 8, 8 * wide), np.float32)}
        write_explanations(tmp_path / f"explanations/{number}.safetensors", made)
    text = _report(tmp_path, tmp_path / "r.html", _trials()[:2])
    found = re.search(r'<img class="sheet" src="data:image/png;base64,([^"]+)', text)
    assert found is not None
    width, height = Image.open(io.BytesIO(base64.b64decode(found[1]))).size
    rows, cell = 10 // columns, (width - 4) // columns - 4
    assert (width - 4, height) == (columns * (cell + 4), 4 + rows * (cell // wide + 4))


def test_the_best_is_shown_at_every_step_count_that_it_was_scored_at(folder: Path, tmp_path: Path) -> None:
    text = _report(folder, tmp_path / "r.html", _trials())
    assert re.findall(r"<th>(\S+) steps</th>", text) == ["100", "500", "1000"]  # of trials 0, 9 and 18
    assert text.count('alt="explanations after') == 3
    assert "step by step" not in _report(folder, tmp_path / "one.html", _trials()[:9])


def test_maximising_turns_the_order_round(folder: Path, tmp_path: Path) -> None:
    text = _report(folder, tmp_path / "r.html", _trials(), directions={"response_fd": "maximise"})
    assert re.findall(r'class="code">C1</span> Best <a href="#trial-(\d+)"', text) == ["26"]


def test_page_loads_nothing_from_outside_and_stays_small(folder: Path, tmp_path: Path) -> None:
    text = _report(folder, tmp_path / "r.html", _trials())
    page = _Page(text)
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    assert "http://" not in text
    assert "https://" not in text
    assert len(text) < 3_000_000


def test_everything_from_outside_is_escaped(folder: Path, tmp_path: Path) -> None:
    trials = _trials()
    trials[3] = replace(trials[3], state="failed", reason=_EVIL, milestones=[], config={_EVIL: _EVIL})
    trials[4].config["lr"] = _EVIL
    changes = {"name": _EVIL, "description": {_EVIL: _EVIL}}
    text = _report(folder, tmp_path / "r.html", trials, **changes)
    assert _Page(text).tags.count("script") == 1
    assert "alert('x')" not in text


def test_every_trial_has_a_row_ranked_first_and_stopped_ones_give_their_reason(folder: Path, tmp_path: Path) -> None:
    trials = _trials()
    trials[0] = replace(trials[0], state="failed", reason="the classifier returned NaN", milestones=[])
    trials[1] = replace(trials[1], state="pruned", reason="rung 100: rank 9 of 9")
    text = _report(folder, tmp_path / "r.html", trials)
    numbers = [row["data-trial"] for row in _Page(text).rows]
    assert numbers == [str(number) for number in [*range(2, 27), 0, 1]]
    assert text.count("the classifier returned NaN") == 2
    assert "rank 9 of 9" in text


def test_the_page_says_number_settings_state_and_objective_of_every_trial(folder: Path, tmp_path: Path) -> None:
    trials = _trials()
    for number, state in {3: "failed", 7: "pruned", 11: "running", 19: "planned"}.items():
        kept = trials[number].milestones if state == "pruned" else []
        trials[number] = replace(trials[number], state=state, milestones=kept)
    rows = dict(re.findall(r'<tr id="trial-(\d+)"(.*?)</tr>', _report(folder, tmp_path / "r.html", trials), re.DOTALL))
    assert sorted(map(int, rows)) == list(range(27))
    for trial in trials:
        cells = [
            re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td[ >].*?</td>", rows[str(trial.number)])
        ]
        assert cells[1] == f"#{trial.number}"
        assert cells[3:6] == [label(value) for value in trial.config.values()]
        assert cells[6] == (label(trial.result.objectives["response_fd"].value) if trial.result else "–")
        assert f'<span class="state">{trial.state}</span>' in rows[str(trial.number)]


def test_two_objectives_give_a_pareto_front(folder: Path, tmp_path: Path) -> None:
    both = {"response_fd": "minimise", "sparsity": "minimise"}
    text = _report(folder, tmp_path / "r.html", _trials(2), directions=both)
    assert text.count("onfront") - text.count(".onfront") == 27  # each is better in one and worse in the other
    assert "Pareto front" not in _report(folder, tmp_path / "r.html", _trials())


def test_each_varied_hyper_parameter_has_a_chart_with_every_configuration(folder: Path, tmp_path: Path) -> None:
    text = _report(folder, tmp_path / "r.html", _trials())
    charts = re.findall(r'aria-label="response_fd against (\w+)">(.*?)</svg>', text, re.DOTALL)
    assert [name for name, _ in charts] == ["lr", "steps", "prior"]
    assert {svg.count("<circle") for _, svg in charts} == {27}
    assert "nan" not in "".join(svg for _, svg in charts)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_sweep_of_few_trials_has_a_report_too(folder: Path, tmp_path: Path, kept: int) -> None:
    text = _report(folder, tmp_path / "r.html", _trials()[:kept])
    assert len(_Page(text).rows) == kept
    assert text.count('class="code"') == kept


def test_lost_pictures_and_intervals_that_are_not_finite_do_not_spoil_the_page(tmp_path: Path) -> None:
    trials = _trials()
    odd = replace(trials[0].milestones[0], objectives={"response_fd": Measured(1.0, -np.inf, np.nan)})
    trials[0] = replace(trials[0], milestones=[odd])
    text = _report(tmp_path, tmp_path / "r.html", trials)
    assert text.count("no pictures") == 3
    assert 'y1="nan"' not in text


def test_sound_is_part_of_the_page(tmp_path: Path) -> None:
    from raysweep.data import audio

    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(11025) / 22050)
    mel = audio.log_mel(wave)[None, None].repeat(2, axis=0)
    write_explanations(tmp_path / "explanations/0.safetensors", {"explanation": mel})
    text = _report(tmp_path, tmp_path / "r.html", _trials()[:1], media="logmel", audio=audio.VOCAL)
    assert text.count('<audio controls preload="none" src="data:audio/wav;base64,') == 1


def test_notes_are_played_whole_and_in_the_parts_of_each_shown_trial(tmp_path: Path) -> None:
    data = load_data("zoo://notes/test")
    assert data.waves is not None
    mask = np.random.default_rng(0).random((4, 2, 256)).astype(np.float32)
    found = {"explanation": data.x[:4], "sample": data.x[[170, 3, 1, 2]], "mask": mask}
    write_explanations(tmp_path / "explanations/0.safetensors", found)
    trials, heard = _trials()[:2], (data.x[: data.heard], data.waves)
    text = _report(tmp_path, tmp_path / "r.html", trials, media="spectrum", notes=heard)
    assert re.findall(r'class="sound"><span>(\w+)</span> <audio', text) == ["note", "kept", "removed"]
    for name, sound in strung([None, *(data.waves[[3, 1, 2]] / 32767)], mask).items():
        assert base64.b64encode(sound).decode() in text, name
    assert "<audio" not in _report(tmp_path, tmp_path / "r.html", trials, media="spectrum")


def test_a_long_fact_has_the_width_of_the_page_and_a_line_for_each_objective(folder: Path, tmp_path: Path) -> None:
    about = {
        "examples": "20",
        "objective": "\n".join(f"{name}: what it is, in several words" for name in ("one", "two", "six")),
    }
    text = _report(folder, tmp_path / "r.html", _trials()[:1], description=about)
    assert '<div><dt>examples</dt><dd>20</dd></div><div class="long"><dt>objective</dt>' in text
    assert "one: what it is, in several words\ntwo: what it is" in text
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert re.search(r"\.facts dd {[^}]*white-space: pre-line", style)
    assert re.search(r"\.facts \.long {[^}]*grid-column: 1 / -1", style)


@pytest.mark.parametrize(
    ("prefer", "words"),
    [
        ("knee", "the best of every objective at once"),
        ({"response_fd": 1, "collapsed": 1}, "the best of response_fd and collapsed at once"),
    ],
)
def test_the_page_says_which_objectives_made_the_best(folder: Path, tmp_path: Path, prefer: object, words: str) -> None:
    names = ["response_fd", "sparsity", "collapsed"]
    trials = _trials(2)
    for trial in trials:
        (milestone,) = trial.milestones
        scores = {**milestone.objectives, "collapsed": Measured(0.0, 0.0, 0.0)}
        trial.milestones[0] = replace(milestone, objectives={name: scores[name] for name in names})
    text = _report(folder, tmp_path / "r.html", trials, directions=dict.fromkeys(names, "minimise"), prefer=prefer)
    assert words in text


@pytest.mark.parametrize(
    ("value", "short"), [(0.001, "0.001"), (60533.0, "60.5k"), (1_250_000, "1.25M"), (1e-6, "1.00e-06"), ("am", "am")]
)
def test_labels_are_short(value: object, short: str) -> None:
    assert label(value) == short


def test_axes_are_logarithmic_where_values_span_decades() -> None:
    assert number_axis([1.6, 33.0, 1557.0]).kind == "log"
    assert number_axis([-1.0, 5.0]).kind == "linear"
    assert axis_of([0.1, 0.01, 0.001]).kind == "choice"
    assert axis_of(list(np.geomspace(1e-4, 1.0, 20))).kind == "log"
    assert number_axis([1.0, 100.0], margin=0.0).place(10.0) == pytest.approx(0.5)


def test_log_mels_of_other_bands_are_pictures_without_sound(tmp_path: Path) -> None:
    from raysweep.data import audio

    write_explanations(tmp_path / "explanations/0.safetensors", {"explanation": np.zeros((2, 1, 64, 40), np.float32)})
    text = _report(tmp_path, tmp_path / "r.html", _trials()[:1], media="logmel", audio=audio.VOCAL)
    assert '<img class="sheet"' in text
    assert "<audio" not in text
