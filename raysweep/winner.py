"""What is made of a sweep's winner: its file, its explanations, its report, its place in the registry."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from raysweep.champion import FILES, carry
from raysweep.data.load import load_data
from raysweep.engine.explainers.probegan import WINNER
from raysweep.errors import InputError
from raysweep.methods import METHODS
from raysweep.objectives.preference import KNEE
from raysweep.outcome import SweepResult
from raysweep.record.explanations import write_explanations
from raysweep.record.occupancy import occupancy_in_words
from raysweep.record.overlay import looked_at
from raysweep.record.registry import register_champion
from raysweep.record.report.page import ReportInput, write_report
from raysweep.record.sheets import contact_sheet, write_audio
from raysweep.rules import EXCITE
from raysweep.schema import ModelsKeys, Sweep, sweep_of
from raysweep.search.space import METHOD

NAME_LIMIT, SUFFIX, FINALISTS = 100, "-best", "-finalists"
"""How long a sweep's name may be, and what the winner's, or that of the best of each method, ends with."""
SEARCHING = ("search", "budget", "stop", "concurrency", "mlflow", "folder")
"""Keys of a sweep that say how it looks for the best."""


def best_document(result: SweepResult) -> dict[str, Any]:
    """The winning configuration as a sweep file: its space holds one value for each hyper-parameter."""
    best = result.best
    if best is None:
        raise InputError("no trial of this sweep is done yet", value=result.name)
    known = sweep_of(result.ledger.sweep or {}, best.config).plain()
    document = {key: known[key] for key in Sweep.model_fields if key in known and key not in SEARCHING}
    document["name"] = f"{result.name[: NAME_LIMIT - len(SUFFIX)]}{SUFFIX}"
    document["space"] = {name: value for name, value in best.config.items() if name != METHOD}
    document |= {key: best.numerics[key] for key in ("precision", "slots")}
    return document


def finalists_document(result: SweepResult) -> dict[str, Any]:
    """The best configuration of each method as a sweep file that compares these, on whatever data it is given.

    Raises:
        InputError: the sweep does not compare methods, or has no finished trial.
    """
    known = result.ledger.sweep or {}
    if "choice" not in known.get(METHOD, {}):
        rule = "must be a sweep that compares methods, to write the best of each"
        raise InputError(rule, key="-o", value=result.name, suggestion="Leave out --each")
    found = result.best_of_each(METHOD)
    if not found:
        raise InputError("no trial of this sweep is done yet", value=result.name)
    document = {key: known[key] for key in Sweep.model_fields if key in known and key not in SEARCHING}
    document["name"] = f"{result.name[: NAME_LIMIT - len(FINALISTS)]}{FINALISTS}"
    document[METHOD] = {"choice": {name: known[METHOD]["choice"][name] for name in found}}
    document["space"] = {
        name: {key: value for key, value in trial.config.items() if key != METHOD} for name, trial in found.items()
    }
    numerics = next(iter(found.values())).numerics
    return document | {key: numerics[key] for key in ("precision", "slots")}


def write_finalists(result: SweepResult, path: Path) -> Path:
    """Write the best of each method so that `run` takes them, wherever the file lies."""
    document = finalists_document(result)
    with writing(path, "-o"):
        document["folder"] = os.path.relpath(Path(result.ledger.home or "."), path.resolve().parent)
        head = f"# The best of each method that {result.name} compared\n"
        path.write_text(head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def trained_tensors(result: SweepResult) -> dict[str, Any]:
    """The generator of the winner of a sweep that trains, and which classes it was never shown."""
    found = result.tensors(result.best) if result.best else {}
    if not found:
        raise InputError("the winner's generator is not there any more", value=result.name)
    return {name: found[name] for name in WINNER if name in found}


def best_text(result: SweepResult, document: dict[str, Any], *remarks: str) -> str:
    """A winner's document as it is written, under a line that says what it won with."""
    best = result.best_json() or {}
    low, high = best["interval"]
    head = f"The winner of {result.name}, trial {best['number']}: {best['objective']:.6g} [{low:.6g}, {high:.6g}]"
    head += ", an oracle" * result.oracle
    comments = "".join(f"# {line}\n" for line in (head, *remarks))
    return comments + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def write_best(result: SweepResult, path: Path) -> Path:
    """Write the winner so that `explain` and `run` take it, wherever it lies."""
    document = best_document(result)
    home = Path(result.ledger.home or ".")
    with writing(path, "-o"):
        document["folder"] = os.path.relpath(home, path.resolve().parent)
        if METHODS[document["method"]["name"]].trains:
            beside = write_explanations(path.with_suffix(".safetensors"), trained_tensors(result))
            document["method"] = {**document["method"], "trained": os.path.relpath(beside.resolve(), home)}
        path.write_text(best_text(result, document), encoding="utf-8")
    return path


@contextmanager
def winner_file(best: Path, storage: Path) -> Iterator[Path]:
    """What `best -o` wrote; of a sweep's name, what it would write now."""
    if best.is_file() or best.suffix in (".yaml", ".yml"):
        yield best
        return
    result = SweepResult.load(str(best), storage)
    with tempfile.TemporaryDirectory() as folder:
        yield write_best(result, Path(folder) / f"{result.name}.yaml")


def write_explanations_to(best: Path, examples: int, first: int, out: Path) -> dict[str, Any]:
    """Explain with a `best.yaml`; pictures, tensors and, where it can be made, sound go to `out`.

    Returns:
        Means of what the method measures, the `files`, and of masks over notes the examples that are `unheard`.
    """
    from raysweep.explain import explain, looked_into

    tensors, sheet, sound = (out / f"explanations.{kind}" for kind in ("safetensors", "png", "wav"))
    with looked_into(best) as workload:
        media, mel = workload.media, workload.mel
    with writing(tensors, "--out"), tempfile.TemporaryFile(dir=out):
        pass  # found out now, not after minutes of work
    found = explain(best, examples, first)
    with writing(tensors, "--out"):
        files = [write_explanations(tensors, found)]
        title = f"{best.stem}: {examples} explanations"
        files.append(contact_sheet(looked_at(found, media), media, sheet, title=title))
        if media == "logmel" and write_audio(found["explanation"], sound, mel):
            files.append(sound)
        unheard: dict[str, Any] = {}
        if media == "spectrum" and "mask" in found:
            sounds, unheard["unheard"] = _write_sounds(best, found, first, out / "sounds")
            files += sounds
    means = {name: float(value.mean()) for name, value in found.items() if value.ndim == 1 and value.dtype != bool}
    return {**means, "files": [str(file) for file in files], **unheard}


def _write_sounds(best: Path, found: dict[str, Any], first: int, folder: Path) -> tuple[list[Path], list[int]]:
    """The files of what masks keep of notes and remove, and the examples whose sound the data do not have."""
    from raysweep.data.waves import waves_of
    from raysweep.explain import looked_into
    from raysweep.record.note_parts import write_parts

    with looked_into(best) as workload:
        data = workload.data
    return write_parts(folder, waves_of(found["sample"], data.x, data.waves), found["mask"], first)


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Make the folder of a file that is written in the block.

    Raises:
        InputError: the file cannot be written there; it names `option` and says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        yield
    except OSError as error:
        rule = f"must be a place that can be written ({error.strerror or error})"
        raise InputError(rule, key=option, value=str(path)) from None


def write_sweep_report(result: SweepResult, path: Path | None = None) -> Path:
    """The report of a sweep, by default `report.html` in its folder.

    Raises:
        InputError: nothing was journaled yet, or the page cannot be written there.
    """
    from raysweep.data.audio import heard_with

    ledger = result.ledger
    sweep = ledger.sweep
    if sweep is None:
        raise InputError("this sweep has not begun: its journal is empty", value=result.name)
    target, models = sweep["target"], sweep["models"]
    what = target.get("class", f"{target.get('layer')}, unit {target.get('unit')}")
    if "each" in target:
        what = f"each example's own class ({target['each']})"
    if "query" in target:
        reach = ", ".join(f"{axis} {first} to {last}" for axis, (first, last) in target.get("area", {}).items())
        what = f"{target['query'].replace('_', ' ')} {reach or 'the whole map'}"
    methods = methods_named(sweep)
    compared = list(methods) if "choice" in sweep[METHOD] else []
    description = {
        "method": ", ".join(methods),
        "target": f"{sweep['direction']} {what}" if set(methods.values()) <= set(EXCITE) else str(what),
        **{role: _sources(models[role]) for role in ModelsKeys.model_fields if role in models},
        **({"images": _trained_on(sweep)} if "images" in sweep else {}),
        "data": sweep["data"]["source"],
        "objective": "\n".join(ledger.objectives_in_words),
        **({"oracle": "yes: real samples of the target class were looked at"} if result.oracle else {}),
        "examples": str(sweep["examples"]),
        "seed": str(sweep["seed"]),
        "numerics": ", ".join(f"{key} {value}" for key, value in ledger.numerics.items()),
        **({"occupancy": occupancy_in_words(result.occupancy)} if result.occupancy else {}),
    }
    page = ReportInput(
        name=result.name,
        description=description,
        trials=list(ledger.trials.values()),
        directions=dict.fromkeys(result.objective_names, "minimise"),
        folder=result.folder,
        prefer=sweep.get("prefer", KNEE),
        media=ledger.media,
        probability=result.probability,
        methods={name: result.probability_of(METHOD, name) for name in compared},
        audio=heard_with(ledger.media, ledger.mel),
        notes=_notes(result) if ledger.media == "spectrum" else None,
    )
    target_file = path or result.folder / "report.html"
    with writing(target_file, "-o" if path else "--storage"):
        return write_report(page, target_file)


def methods_named(sweep: dict[str, Any]) -> dict[str, str]:
    """What each method is, by what a sweep (as plain data) calls it."""
    method = sweep[METHOD]
    return {name: one["name"] for name, one in method.get("choice", {method.get("name"): method}).items()}


def _trained_on(sweep: dict[str, Any]) -> str:
    """The images that a generator is trained on."""
    shown = all(METHODS[method].shows_target for method in methods_named(sweep).values())
    left_out = "" if shown else f", without {sweep['target']['class']}"
    return f"{sweep['images']['source']}{left_out}"


def _sources(models: dict[str, Any]) -> str:
    """Where a network comes from, or each of several by name."""
    if isinstance(models.get("source"), str):
        return str(models["source"])
    return ", ".join(f"{name}: {model['source']}" for name, model in models.items())


def _notes(result: SweepResult) -> tuple[np.ndarray, np.ndarray] | None:
    """A sweep's spectra that can be heard, and their waves; None where there are none, or the data are gone."""
    data = (result.ledger.sweep or {})["data"]
    try:
        known = load_data(data["source"], folder=Path(result.ledger.home or "."), media=data.get("media"))
    except InputError:
        return None
    return None if known.waves is None else (known.x[: known.heard], known.waves)


def register_winner(result: SweepResult, uri: str) -> str | None:
    """Make the winner the champion of its name in MLflow's registry; its version, or None without a winner."""
    best = result.best
    if best is None or best.mlflow_run is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        champion = pack_champion(result, Path(scratch) / "champion")
        return register_champion(uri, result.name, best.mlflow_run, champion)


def pack_champion(result: SweepResult, folder: Path) -> Path:
    """Write the winner into `folder`, with all that explaining needs, so that the folder works anywhere."""
    found = best_document(result)
    document = carry(found, result.ledger.media, Path(result.ledger.home or "."), folder)
    if METHODS[document["method"]["name"]].trains:
        document["method"]["trained"] = f"{FILES}/generator.safetensors"
        write_explanations(folder / FILES / "generator.safetensors", trained_tensors(result))
    remark = (
        f"Found with the data {found['data']['source']!r}; to explain, neither they nor judge and objectives are needed"
    )
    (folder / "best.yaml").write_text(best_text(result, document, remark), encoding="utf-8")
    return folder
