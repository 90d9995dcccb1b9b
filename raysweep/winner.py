"""What is made of a sweep's winner: its file, its explanations, its report, its place in the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from raysweep.errors import InputError
from raysweep.outcome import SweepResult
from raysweep.record.explanations import write_explanations
from raysweep.record.registry import register_champion
from raysweep.record.report.page import ReportInput, write_report
from raysweep.record.sheets import contact_sheet, write_audio
from raysweep.sources import is_callable_name
from raysweep.sweepfile import Sweep


def best_document(result: SweepResult, folder: str | None) -> dict[str, Any]:
    """The winning configuration as a sweep file: its space holds one value for each hyper-parameter."""
    best = result.best
    if best is None:
        raise InputError("no trial of this sweep is done yet", value=result.name)
    known = result.ledger.sweep or {}
    searching = ("search", "budget", "stop", "concurrency", "mlflow", "folder")
    document = {key: known[key] for key in Sweep.model_fields if key in known and key not in searching}
    document["name"] = f"{result.name}-best"
    document["space"] = dict(best.config)
    return {**document, "folder": folder} if folder is not None else document


def write_best(result: SweepResult, path: Path) -> Path:
    """Write the winner so that `explain` and `run` take it, wherever it lies."""
    home = Path(result.ledger.home or ".")
    folder = os.path.relpath(home, path.resolve().parent)
    text = yaml.safe_dump(best_document(result, folder), sort_keys=False, allow_unicode=True)
    best = result.best_json() or {}
    low, high = best["interval"]
    head = f"# The winner of {result.name}, trial {best['number']}: {best['objective']:.6g} [{low:.6g}, {high:.6g}]\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + text, encoding="utf-8")
    return path


def write_explanations_to(best: Path, examples: int, first: int, out: Path) -> dict[str, Any]:
    """Explain with a `best.yaml`; pictures, tensors and, for audio, sound go to `out`."""
    from raysweep.explain import explain, media_of

    found = explain(best, examples, first)
    media = media_of(best)
    out.mkdir(parents=True, exist_ok=True)
    files = [write_explanations(out / "explanations.safetensors", found)]
    contact_sheet(found["explanation"], media, out / "explanations.png", title=f"{best.stem}: {examples} explanations")
    files.append(out / "explanations.png")
    if media == "logmel":
        files.append(write_audio(found["explanation"], out / "explanations.wav"))
    return {"response": float(found["response"].mean()), "files": [str(file) for file in files]}


def write_sweep_report(result: SweepResult, path: Path | None = None) -> Path:
    """The report of a sweep, by default `report.html` in its folder."""
    from raysweep.data.audio import MelSpec

    ledger = result.ledger
    sweep = ledger.sweep or {}
    target = sweep["target"]
    what = target.get("class", f"{target.get('layer')}, unit {target.get('unit')}")
    description = {
        "method": sweep["method"]["name"],
        "target": f"{sweep['direction']} {what}",
        "generator": sweep["models"]["generator"]["source"],
        "classifier": sweep["models"]["classifier"]["source"],
        **({"judge": sweep["models"]["judge"]["source"]} if "judge" in sweep["models"] else {}),
        "data": sweep["data"]["source"],
        "objective": "; ".join(ledger.objectives_in_words),
        "examples": str(sweep["examples"]),
        "seed": str(sweep["seed"]),
        "numerics": ", ".join(f"{key} {value}" for key, value in ledger.numerics.items()),
    }
    page = ReportInput(
        name=result.name,
        description=description,
        trials=list(ledger.trials.values()),
        directions=dict.fromkeys(result.objective_names, "minimise"),
        folder=result.folder,
        media=ledger.media,
        probability=result.probability,
        audio=MelSpec() if ledger.media == "logmel" else None,
    )
    return write_report(page, path or result.folder / "report.html")


def register_winner(result: SweepResult, uri: str) -> str | None:
    """Make the winner the champion of its name in MLflow's registry; its version, or None without a winner."""
    best = result.best
    if best is None or best.mlflow_run is None:
        return None
    home = Path(result.ledger.home or ".")
    document = best_document(result, None)
    files, code = carried_files(document, home)
    path = result.folder / "best.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return register_champion(uri, result.name, best.mlflow_run, path, files=files, code=code)


def carried_files(document: dict[str, Any], home: Path) -> tuple[dict[str, Path], list[Path]]:
    """The user's own files that a winner needs to run elsewhere, and the Python files beside the sweep file."""
    models = [*document["models"].values(), *(one["model"] for one in document["objective"] if "model" in one)]
    named = [name for model in models for name in (model["source"], model.get("weights")) if name]
    named.append(document["data"]["source"])
    files = {name: home / name for name in named if "://" not in name and (home / name).is_file()}
    own_code = any(is_callable_name(name) for name in named)
    return files, sorted(home.glob("*.py")) if own_code else []
