"""Sweeps as jobs of a Ray cluster: submitted, watched and stopped over HTTP through Ray's job server.

A job is `raysweep run` on the cluster's head. Its folder is uploaded without secrets and caches; its id is made from
what it runs, so that the same sweep is never started twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.cluster.access import ANSWER_DEADLINE, ClusterError, check_address, refuse_open, talking
from raysweep.errors import InputError, did_you_mean
from raysweep.record.driver import standing, sweep_digest

STORAGE = "~/raysweep-runs"
"""Where a job keeps its sweep unless told otherwise: in the home folder of the head node."""
SECRETS = ".env *.env .env.* *.pem *.key *.p12 *.pfx id_rsa* id_dsa* id_ecdsa* id_ed25519* .netrc .ssh .aws .ray"
CACHES = ".git __pycache__ .venv venv .cache .*_cache .ipynb_checkpoints .hypothesis *.egg-info node_modules"
RESULTS = "raysweep-runs mlruns mlartifacts *.db *.db-wal *.db-shm *.sqlite"
NOT_UPLOADED = tuple(f"{SECRETS} {CACHES} {RESULTS}".split())
"""File and folder names that never leave the user's machine."""
STATES = {"SUCCEEDED": "done"}
OVER = ("done", "failed", "stopped")
STOP_DEADLINE = 60
INQUIRY_DEADLINE = 120.0
ANSWER = "raysweep-answer "
"""What a line begins with that answers an inquiry."""
PROGRESS = ("trials", "best", "occupancy")
"""What only a sweep's journal knows of its row."""


@dataclass(frozen=True)
class Submission:
    """A checked sweep file, ready to be a job.

    Args:
        sweep: the sweep as plain data, all overrides applied.
        file: the sweep file; its folder is what is uploaded.
        overrides: `key=value`, as `--set` takes them.
        storage: folder on the cluster, absolute or below `~`.
        mlflow: MLflow's tracking URI as the cluster reaches it.
        take_over: see `raysweep.run`.
    """

    sweep: dict[str, Any]
    file: Path
    overrides: tuple[str, ...] = ()
    storage: str = STORAGE
    mlflow: str | None = None
    take_over: bool = False

    @property
    def id(self) -> str:
        """The same for the same sweep in the same storage."""
        return f"raysweep-{self.sweep['name']}-{sweep_digest([self.sweep, self.storage])}"

    @property
    def entrypoint(self) -> str:
        """The shell line that the head runs."""
        words = ["python", "-m", "raysweep.cli", "run", self.file.name]
        words += [f"--mlflow={self.mlflow}"] if self.mlflow else []
        words += [f"--set={override}" for override in self.overrides]
        words += ["--take-over"] if self.take_over else []
        home = "~/" if self.storage.startswith("~/") else ""  # left unquoted: the head's shell knows its home
        return f"{shlex.join(words)} --storage {home}{shlex.quote(self.storage.removeprefix(home))}"

    @property
    def metadata(self) -> dict[str, str]:
        """What `status` needs to know again."""
        return {"raysweep": self.sweep["name"], "storage": self.storage, "sweep": sweep_digest(self.sweep)}

    @property
    def runtime_env(self) -> dict[str, Any]:
        """What is uploaded, and that stopping a job is a Ctrl-C with time to finish."""
        stop = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_DEADLINE)}
        return {
            "working_dir": str(self.file.resolve().parent),
            "excludes": list(NOT_UPLOADED),
            "env_vars": stop,
        }


class Jobs:
    """The sweeps among a cluster's jobs.

    Args:
        address: `http(s)://host:port` of the cluster's dashboard.
        trust_network: talk to it also where others may read what is sent, or run what they like.

    Raises:
        InputError: the address is no such URL, or not encrypted.
        ClusterError: nothing answers there, it is no Ray, or it lets us not in.
    """

    def __init__(self, address: str, trust_network: bool = False) -> None:
        self.address, self._trust_network = address, trust_network
        check_address(address, trust_network)
        with talking(address):
            from ray.job_submission import JobSubmissionClient

            logging.getLogger("ray").setLevel(logging.ERROR)
            logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.ERROR)
            self._client = JobSubmissionClient(address)

    def submit(self, submission: Submission) -> dict[str, Any]:
        """Start a sweep unless it runs already; its row, with `submitted` saying which.

        An ended one is started again under an id with the attempt's number: it continues where it stopped.

        Raises:
            InputError: a sweep of this name runs in the same storage with other keys, or the cluster lets anyone in.
        """
        if not self._trust_network:
            refuse_open(self.address)
        known = self._rows()
        mine = [row for row in known if re.fullmatch(re.escape(submission.id) + r"(-\d+)?", row["id"])]
        for row in known:
            same = (row["name"], row["storage"]) == (submission.sweep["name"], submission.storage)
            if same and row["state"] not in OVER:
                if row in mine:
                    return {**row, "submitted": False}
                hint = f"Stop it first: raysweep stop {row['id']} --address {self.address}"
                raise InputError("a sweep of this name runs with other keys", value=row["id"], suggestion=hint)
        attempt = 1 + max((_attempt(row["id"], submission.id) for row in mine), default=0)
        job = submission.id if attempt == 1 else f"{submission.id}-{attempt}"
        submitted = True
        with talking(self.address):
            try:
                self._client.submit_job(
                    submission_id=job,
                    entrypoint=submission.entrypoint,
                    runtime_env=submission.runtime_env,
                    metadata=submission.metadata,
                    entrypoint_num_cpus=0,  # with none asked for, Ray puts the driver on the head
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise
                submitted = False  # somebody submitted the same in this very moment
        return {**self.find(job), "submitted": submitted}

    def find(self, job: str) -> dict[str, Any]:
        """One job's row, by its id or by its sweep's name (then the latest).

        Raises:
            InputError: there is none; the nearest one is suggested.
        """
        rows = self._rows()
        for row in rows:
            if row["id"] == job:
                return row
        named = [row for row in rows if row["name"] == job]
        if named:
            return named[-1]
        known = [*(row["id"] for row in rows), *(row["name"] for row in rows)]
        hint = did_you_mean(job, set(known)) if known else "No sweep was submitted there"
        raise InputError(f"no such sweep at {self.address}", value=job, suggestion=hint)

    def status(self, job: str | None = None, storage: Path | None = None) -> list[dict[str, Any]]:
        """Rows of one or all jobs, with trials and best so far where the job's journal can be read from here.

        Args:
            job: id or sweep's name; None: all.
            storage: where the jobs' storage is on this machine; default: the same path as there.
        """
        if job is None:
            return [_with_progress(row, storage) for row in self._rows()]
        row = _with_progress(self.find(job), storage)
        if row["trials"] is None and row["state"] != "pending" and not _is_here(row["storage"], storage):
            with suppress(ClusterError):  # it has not begun, or is over and its storage gone
                row |= {key: value for key, value in self._ask("status", row).items() if key in PROGRESS}
        return [row]

    def best(self, job: str) -> dict[str, Any]:
        """A sweep's winner so far: {"best": as `best --json` has it, "objectives": names, "file": what `-o` writes}.

        Raises:
            InputError: there is no such sweep.
            ClusterError: it has no winner yet, or its storage cannot be read there.
        """
        return self._ask("best", self.find(job))

    def logs(self, job: str) -> str:
        """All that a job has printed so far."""
        found = self.find(job)["id"]
        with talking(self.address):
            return str(self._client.get_job_logs(found))

    def follow(self, job: str, write: Callable[[str], None]) -> None:
        """Hand on what a job prints, until it ends."""
        found = self.find(job)["id"]

        async def drain() -> None:
            async for piece in self._client.tail_job_logs(found):
                write(piece)

        with talking(self.address):
            asyncio.run(drain())

    def stop(self, job: str) -> dict[str, Any]:
        """End a job as Ctrl-C does and wait for it; its row, with `stopped` saying whether it ran."""
        row = self.find(job)
        if row["state"] in OVER:
            return {**row, "stopped": False}
        with talking(self.address):
            self._client.stop_job(row["id"])
        deadline = time.monotonic() + STOP_DEADLINE + ANSWER_DEADLINE
        while (row := self.find(row["id"]))["state"] not in OVER:
            if time.monotonic() > deadline:
                raise ClusterError(f"{row['id']} was asked to stop, but still runs after {STOP_DEADLINE} s")
            time.sleep(0.3)
        return {**row, "stopped": True}

    def _ask(self, question: str, row: dict[str, Any]) -> dict[str, Any]:
        """Have the cluster answer what only it can read, by a job of its own (`raysweep.inquiry`)."""
        words = ["python", "-m", "raysweep.inquiry", question, row["name"], row["storage"]]
        with talking(self.address):
            asked = self._client.submit_job(entrypoint=shlex.join(words), entrypoint_num_cpus=0)
            deadline = time.monotonic() + INQUIRY_DEADLINE
            while not self._client.get_job_status(asked).is_terminal():
                if time.monotonic() > deadline:
                    raise ClusterError(f"the cluster did not say the {question} of {row['id']} in time")
                time.sleep(0.2)
            said = str(self._client.get_job_logs(asked))
            self._client.delete_job(asked)
        lines = [line.removeprefix(ANSWER) for line in said.splitlines() if line.startswith(ANSWER)]
        if not lines:
            raise ClusterError(f"the cluster could not say the {question} of {row['id']}: {said.strip()[-200:]}")
        answer = json.loads(lines[-1])
        if "complaint" in answer:
            raise ClusterError(f"{row['id']}: {answer['complaint']}")
        found: dict[str, Any] = answer["found"]
        return found

    def _rows(self) -> list[dict[str, Any]]:
        with talking(self.address):
            jobs = self._client.list_jobs()
        rows = [_row(job) for job in jobs if "raysweep" in (job.metadata or {}) and job.submission_id]
        return sorted(rows, key=lambda row: (row["started"] or 0.0, row["id"]))


def _row(job: Any) -> dict[str, Any]:
    metadata, state = job.metadata, job.status.value
    message = job.message if state == "FAILED" else None
    return {
        "id": job.submission_id,
        "name": metadata["raysweep"],
        "state": STATES.get(state, state.lower()),
        "started": job.start_time / 1000 if job.start_time else None,
        "ended": job.end_time / 1000 if job.end_time else None,
        "trials": None,
        "best": None,
        "occupancy": None,
        "storage": metadata["storage"],
        "sweep": metadata["sweep"],
        "message": message.strip().splitlines()[-1] if message and message.strip() else None,
    }


def _with_progress(row: dict[str, Any], storage: Path | None) -> dict[str, Any]:
    """Add what the journal says, if the folder of that name here is this job's and not another machine's."""
    folder = (storage or Path(row["storage"]).expanduser()) / row["name"]
    if not (folder / "journal.jsonl").is_file():
        return row
    found = standing(folder)
    if found["sweep"] != row["sweep"]:
        return row
    return {**row, **{key: found[key] for key in PROGRESS}}


def _is_here(named: str, storage: Path | None) -> bool:
    """Whether a job's storage is a folder of this machine too; `~` is another one here and there."""
    return storage is not None or (not named.startswith("~") and Path(named).is_dir())


def _attempt(job: str, base: str) -> int:
    return int(job[len(base) + 1 :] or 1)
