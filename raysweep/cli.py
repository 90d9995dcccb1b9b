"""The command line: each verb reads its arguments, calls one function and prints what it gives back.

Exit codes: 0 all is well; 1 the sweep has no result, or storage, cluster or printing failed; 2 something the user wrote
does not hold; 130 interrupted (running the same command again continues).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from raysweep import __version__
from raysweep.errors import InputError, RaysweepError
from raysweep.outcome import SweepResult
from raysweep.record.checkouts import shown
from raysweep.record.driver import storage_folder
from raysweep.terminal import Progress, quiet_output
from raysweep.words import (
    configured,
    measured,
    print_best,
    print_comparison,
    print_each,
    print_estimate,
    print_explained,
    print_plan,
    print_winner,
)

app = typer.Typer(
    help="Find the settings under which a neural-network explanation can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Storage = Annotated[
    Path,
    typer.Option(
        parser=storage_folder,
        metavar="DIR",
        help="Folder of all sweeps and, unless --mlflow says otherwise, of MLflow's store; or a URL (s3://…).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Mlflow = Annotated[str | None, typer.Option(help="MLflow's tracking URI.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="key=value: override a key of the sweep file.")]
Name = Annotated[str, typer.Argument(help="The sweep's name.")]
Address = Annotated[
    str, typer.Option(help="http(s)://host:port of the Ray cluster's dashboard; its token as Ray reads it.")
]
AddressOrHere = Annotated[
    str | None, typer.Option("--address", help="The cluster's dashboard; without it, sweeps of this machine.")
]
TrustNetwork = Annotated[
    bool,
    typer.Option(
        "--trust-network",
        help="Talk to a cluster over plain http, or to one that asks for no token: others may read what is sent, and "
        "run what they like.",
    ),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Of a storage at a URL: continue although a driver on another machine has not said that it ended.",
    ),
]
JobOrName = Annotated[str, typer.Argument(metavar="ID", help="A job's id or a sweep's name.")]
SweepOrNone = Annotated[str | None, typer.Argument(metavar="[ID]", help="A job's id or a sweep's name; default: all.")]
STORAGE = Path("raysweep-runs")
INTERRUPTED = 130


def main() -> None:
    """Run the command line; errors are one message on standard error, never a traceback."""
    try:
        code = app(standalone_mode=False)  # a code when a verb raised typer.Exit or was interrupted, else None
        if code == INTERRUPTED:
            print("interrupted; run the same command again to continue", file=sys.stderr)
        sys.stdout.flush()
    except InputError as error:
        code = _complain(error, 2)
    except RaysweepError as error:
        code = _complain(error, 1)
    except BrokenPipeError:  # whoever read our output has enough; where print meets it, Typer ends likewise
        code = 1
    except OSError as error:
        code = _complain(error, 1, f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own: a wrong option
            raise
        code = _complain(error, 2, error.format_message())
    _drop_unprinted()
    sys.exit(code)


@app.callback()
def version(
    show: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    """Find the settings under which a neural-network explanation can be trusted."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def run(
    file: Path,
    storage: Storage = STORAGE,
    mlflow: Mlflow = None,
    set_: Overrides = None,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Run a sweep file here, or continue it where it stopped."""
    from raysweep.forecast import planned
    from raysweep.preflight import prepare
    from raysweep.sweep import run_prepared
    from raysweep.sweepfile import load_sweep

    prepared = prepare(load_sweep(file, set_ or []), storage, mlflow)
    with (
        quiet_output(prepared.log) as (out, err),
        Progress(err if as_json else out, planned(prepared.sweep), prepared.sweep.rows) as progress,
    ):
        result = run_prepared(prepared, progress.on_event, progress.say, take_over)
    print(json.dumps(result.best_json(), indent=2)) if as_json else print_best(result, _where(storage))
    if result.best is None:
        raise typer.Exit(1)


@app.command()
def check(file: Path, storage: Storage = STORAGE, set_: Overrides = None, as_json: Json = False) -> None:
    """Check a sweep file whole and say what it would run."""
    from raysweep.forecast import forecast, planned
    from raysweep.preflight import check_source, check_workloads, describe, located
    from raysweep.sweepfile import load_sweep

    loaded = load_sweep(file, set_ or [])
    with located(loaded):
        workloads = check_workloads(loaded)
        check_source(loaded.sweep.search.from_, storage)
    described = describe(loaded, next(iter(workloads.values())))
    if as_json:
        print(json.dumps({"described": list(described), **forecast(loaded.sweep, workloads)}, indent=2))
        return
    for line in described:
        print(line, flush=True)
    print_plan(planned(loaded.sweep))
    print_estimate(forecast(loaded.sweep, workloads, partial(print, flush=True)))


@app.command()
def trials(name: Name, storage: Storage = STORAGE, as_json: Json = False) -> None:
    """Every trial: configuration, state, objective, interval."""
    result = SweepResult.load(name, storage)
    rows = [trial.to_json() for trial in result.ledger.trials.values()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        config = configured(row["config"])
        reason = f"  ({row['reason']})" if row["reason"] else ""
        print(f"{row['number']:>4}  {row['state']:<8} {measured(row):<28} {config}{reason}")


@app.command()
def best(
    sweep: JobOrName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the winner as a file for explain.")
    ] = None,
    each: Annotated[
        str | None, typer.Option(help="method, or a hyper-parameter: the best with each of its values.")
    ] = None,
    address: AddressOrHere = None,
    storage: Storage = STORAGE,
    trust_network: TrustNetwork = False,
    as_json: Json = False,
) -> None:
    """The winner, its interval, its margin over the second, and how probably it is the best."""
    from raysweep import control

    if each is not None:
        rows, objectives = control.best_of_each(each, sweep, address, storage, output)
        print(json.dumps(rows, indent=2)) if as_json else print_each(rows, each, objectives)
        if output is not None and not as_json:
            print(f"written to {output}; next: raysweep run {output}")
        return
    found, objectives = control.best(sweep, address, storage, output, trust_network)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print_winner(found, objectives)
        if output is not None:
            print(f"written to {output}; next: raysweep explain {output}")


@app.command()
def explain(
    best: Annotated[Path, typer.Argument(help="What best -o wrote, or a sweep's name.")],
    examples: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    first: Annotated[int, typer.Option(min=0, help="Index of the first example.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and tensors.")] = Path("explanations"),
    storage: Storage = STORAGE,
    as_json: Json = False,
) -> None:
    """Run the winning configuration again, for as many examples as wanted."""
    from raysweep.winner import winner_file, write_explanations_to

    with winner_file(best, storage) as file:
        found = write_explanations_to(file, examples, first, out)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print_explained(found, examples, out)


@app.command()
def report(
    name: Name,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: report.html in the sweep's folder.")
    ] = None,
    storage: Storage = STORAGE,
    as_json: Json = False,
) -> None:
    """One self-contained HTML page."""
    from raysweep.winner import write_sweep_report

    path = write_sweep_report(SweepResult.load(name, storage), output)
    print(json.dumps({"report": str(path)}) if as_json else str(path))


@app.command()
def compare(
    sweeps: Annotated[list[str], typer.Argument(metavar="NAME...", help="Sweeps, or NAME:NUMBER for a trial of one.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw their pictures into this PNG.")] = None,
    examples: Annotated[int, typer.Option(min=1, help="Pictures of each.")] = 10,
    storage: Storage = STORAGE,
    as_json: Json = False,
) -> None:
    """Winners of several sweeps side by side: what was measured of each and, with -o, the same examples of each."""
    from raysweep.comparison import Contender, comparison_sheet, shared_readings
    from raysweep.winner import writing

    contenders = [Contender.named(name, storage) for name in sweeps]
    if output is not None:
        with writing(output, "-o"):
            comparison_sheet(contenders, examples).save(output, format="PNG", optimize=True)
    rows = [one.to_json() for one in contenders]
    print(json.dumps(rows, indent=2)) if as_json else print_comparison(rows, shared_readings(contenders))
    if output is not None and not as_json:
        print(f"pictures in {output}")


@app.command()
def sync(name: Name, storage: Storage = STORAGE, mlflow: Mlflow = None, as_json: Json = False) -> None:
    """Send MLflow what it lacks of a sweep, after an outage."""
    from raysweep.record.driver import sweep_folder
    from raysweep.recording import sync as send

    with quiet_output(sweep_folder(name, storage) / "logs" / "driver.log") as (_, err):
        found = send(name, storage, mlflow, lambda line: print(line, file=err))
    words = f"MLflow holds all of {name} ({found['sent']} trials sent)"
    if not found["complete"]:
        words = f"MLflow still lacks {len(found['lacking'])} trials and the end of the sweep"
    print(json.dumps(found) if as_json else words)
    if not found["complete"]:
        raise typer.Exit(1)


@app.command()
def ui(storage: Storage = STORAGE, port: int = 5000) -> None:
    """MLflow's UI on this storage's store, on this machine only."""
    from raysweep.record.store import has_store, local_store

    if not has_store(storage):
        raise InputError("holds no MLflow store", key="--storage", value=shown(storage))
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", local_store(storage)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)")
    raise typer.Exit(subprocess.call(command, env=_ui_environment()))


@app.command()
def submit(
    file: Path,
    address: Address,
    storage: Annotated[
        str,
        typer.Option(help="What all nodes of the cluster see: a folder, absolute or below ~ of the head; or a URL."),
    ] = "~/raysweep-runs",
    mlflow: Mlflow = None,
    set_: Overrides = None,
    take_over: TakeOver = False,
    trust_network: TrustNetwork = False,
    as_json: Json = False,
) -> None:
    """Run a sweep file as a job of a Ray cluster; its folder is uploaded, without secrets, caches and results."""
    from raysweep.control import submitted_in_words
    from raysweep.submission import submit as submit_sweep

    row = submit_sweep(file, address, storage, mlflow, set_ or [], trust_network, take_over)
    print(json.dumps(row, indent=2) if as_json else submitted_in_words(row, address))


@app.command()
def status(
    sweep: SweepOrNone = None,
    address: AddressOrHere = None,
    storage: Annotated[
        Path | None,
        typer.Option(parser=storage_folder, metavar="DIR", help="Folder of all sweeps, as this machine sees it."),
    ] = None,
    trust_network: TrustNetwork = False,
    as_json: Json = False,
) -> None:
    """Where a sweep stands, or all of them: state, start, trials, the best so far."""
    from raysweep import control

    rows = control.status(sweep, address, storage, STORAGE, trust_network)
    print(
        json.dumps(rows[0] if sweep else rows, indent=2)
        if as_json
        else "\n".join(map(control.in_words, rows)) or "no sweeps"
    )


@app.command()
def logs(
    sweep: JobOrName,
    address: AddressOrHere = None,
    follow: Annotated[bool, typer.Option("--follow", help="Until it ends.")] = False,
    storage: Storage = STORAGE,
    trust_network: TrustNetwork = False,
    as_json: Json = False,
) -> None:
    """What a sweep's driver printed."""
    from raysweep import control

    def write(piece: str) -> None:
        print(json.dumps({"id": sweep, "logs": piece}) if as_json else piece, end="\n" if as_json else "", flush=True)

    control.logs(sweep, address, storage, follow, write, trust_network)


@app.command()
def stop(
    sweep: JobOrName,
    address: AddressOrHere = None,
    storage: Storage = STORAGE,
    trust_network: TrustNetwork = False,
    as_json: Json = False,
) -> None:
    """End a sweep as Ctrl-C does; running or submitting it again continues it."""
    from raysweep import control

    row = control.stop(sweep, address, storage, trust_network)
    print(
        json.dumps(row, indent=2)
        if as_json
        else ("" if row["stopped"] else "was not running: ") + control.in_words(row)
    )


def _where(storage: Path) -> str:
    """The option that names a storage, where one is needed."""
    return "" if storage == STORAGE else f" --storage {shown(storage)}"


def _complain(error: Exception, code: int, text: str | None = None) -> int:
    print(f"raysweep: {text or error}", file=sys.stderr)
    return code


def _drop_unprinted() -> None:
    """Give up what standard output does not take, or the interpreter tries it again at its end and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _ui_environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


if __name__ == "__main__":
    main()
