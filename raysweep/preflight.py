"""What must hold beyond a sweep file's schema before anything is started: networks, data, search, storage, MLflow.

Everything is loaded and tried here, on the user's machine; nothing is made until all of it holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import InputError, did_you_mean
from raysweep.oracle import LOOKS, SHOWN
from raysweep.outcome import SweepResult
from raysweep.record.checkouts import remote_of
from raysweep.record.driver import storage_folder
from raysweep.record.store import check_uri, local_store
from raysweep.rules import OBJECTIVES
from raysweep.schema import SingleSweep, Sweep
from raysweep.search.domains import LARGEST, Choice, Domain, Interval
from raysweep.search.policies.ladder import counts
from raysweep.sweepfile import SweepFile

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload
    from raysweep.methods import Bound


PER_ROW = {
    "distortion": "half the squared change of the score when what the mask removes is filled, mean over draws",
    "sparsity": "the share of the components that the mask keeps",
    "classifier_loss": "minus the logarithm of the target's probability, as the probed classifier sees it, mean",
    "rate_distortion": "area under the distortion of the mask's most important components, from none to all of them",
    "localisation_error": "the share of images with IoU < 0.5 of the box around the map's hot places and the true box",
    "pointing_error": "the share of images whose hottest place lies outside the true box",
    "flipping_morf": "area under what is left of the score while components are removed, the most relevant first",
    "flipping_lerf": "area under what is lost of the score while components are removed, the least relevant first",
    "unfaithfulness": "1 - correlation of random parts' heat with what the score loses without them, mean",
    "diffuseness": "1 - the Gini index of the map's absolute heat, mean",
    "max_sensitivity": "the greatest relative change of the map under small noise on the sample, mean",
    "randomisation": "|rank correlation| of the map with those of networks with re-drawn weights, mean",
}
"""Objectives that are a mean of the examples' own numbers, in words."""


MOST = 1e38
"""Of a hyper-parameter: float32 ends soon after."""


@dataclass(frozen=True)
class Prepared:
    """A sweep of which everything holds.

    Args:
        file: the sweep file.
        workloads: its networks and data, loaded, of each of the methods that it compares by name; of one under "".
        storage: folder of all sweeps.
        mlflow: the tracking URI to record at.
    """

    file: SweepFile
    workloads: dict[str, Workload]
    storage: Path
    mlflow: str

    @property
    def sweep(self) -> Sweep:
        """What the file says."""
        return self.file.sweep

    @property
    def workload(self) -> Workload:
        """What all methods have in common: the data, the target, how explanations are shown."""
        return next(iter(self.workloads.values()))

    @property
    def folder(self) -> Path:
        """This sweep's own folder in the storage."""
        return self.storage / self.sweep.name

    @property
    def log(self) -> Path:
        """Where the driver's chatter goes."""
        return self.folder / "logs" / "driver.log"


def prepare(file: SweepFile, storage: Path, mlflow: str | None = None) -> Prepared:
    """Load and try what a sweep names, then make its folder in the storage.

    Raises:
        InputError: what a network, data, an option of the command line or the storage breaks.
    """
    check_uri(mlflow, "--mlflow")
    storage = storage_folder(storage)
    with located(file):
        workloads = check_workloads(file)
        check_source(file.sweep.search.from_, storage)
    uri = mlflow or file.sweep.mlflow
    require_mlflow(uri, at_url=remote_of(storage) is not None)
    prepared = Prepared(file, workloads, storage, uri or local_store(storage))
    make_writable(prepared)
    return prepared


def require_mlflow(uri: str | None, at_url: bool) -> None:
    """A storage that is a folder has MLflow's store in it; one at a URL cannot."""
    if uri is None and at_url:
        rule = "must be given, or mlflow in the sweep file: a storage at a URL holds no MLflow store"
        raise InputError(rule, key="--mlflow")


def check_workloads(file: SweepFile) -> dict[str, Workload]:
    """Load and try everything that a sweep names, before anything is started; of each of its methods by name."""
    found = {}
    for name, one in file.of_methods.items():
        with located(one):
            found[name] = check_workload(one)
    return found


def check_workload(file: SweepFile) -> Workload:
    """Load and try everything that a sweep of one method names."""
    from raysweep.engine.workload import Workload

    check_space(file.single)
    workload = Workload(workload_spec(file))
    workload.check()
    check_steps(file.single, workload.explainer.most_steps)
    return workload


def check_steps(sweep: SingleSweep, most: int | None) -> None:
    """No configuration has more steps than the method finds something to do for; None: it always does."""
    if most is None:
        return
    domain = sweep.parsed_space.steps
    steps: Sequence[Any] = domain.values if isinstance(domain, Choice) else (domain.high,)
    if max(steps) > most:
        rule = f"must be at most {most}, as many components as a sample has: each step of a pursuit adds one"
        raise InputError(rule, key="space.steps", value=max(steps))


def check_space(sweep: SingleSweep) -> None:
    """Every hyper-parameter of the method, and no other, with values that it can take."""
    from raysweep.methods import METHODS, Bound
    from raysweep.methods.looking import LOOKING, hyperparameters_of

    method, space = METHODS[sweep.method.name], sweep.parsed_space
    steps = {"steps": Bound(1, whole=True)} if method.takes_steps else {}
    looking = hyperparameters_of(one.name for one in sweep.objective)
    bounds = {**method.hyperparameters_of(sweep.method.model_dump()), **looking, **steps}
    listed = sweep.method.named
    named = {name: names for name, names in sweep.names.items() if names}
    for parameter in space.parameters:
        key = f"space.{parameter.name}"
        if parameter.name in method.refused:
            hint = "Take it out; on the command line --set KEY=null does"
            raise InputError(method.refused[parameter.name], key=key, suggestion=hint)
        if parameter.name in listed and parameter.name not in named:
            raise InputError(f"has a use only with {listed[parameter.name]}, the names that it chooses from", key=key)
        if parameter.name not in bounds:
            for objective, own in LOOKING.items():
                if parameter.name in own and objective in OBJECTIVES[sweep.method.name]:
                    raise InputError(f"has a use only with the objective {objective}", key=key)
            hint = did_you_mean(parameter.name, bounds)
            raise InputError(f"no hyper-parameter of {sweep.method.name}", key=key, suggestion=hint)
        if parameter.name in named:
            check_names(parameter.domain, named[parameter.name], key, listed[parameter.name])
        else:
            check_values(parameter.domain, bounds[parameter.name], key)
            if bounds[parameter.name].whole:
                check_whole(parameter.domain, key)
        if parameter.when:
            rule = f"must be left out: {sweep.method.name} needs {parameter.name} in every configuration"
            raise InputError(rule, key=f"{key}.when", value=dict(parameter.when))
    for name, bound in bounds.items():
        if name not in space and bound.default is None:
            raise InputError(f"must be given: {sweep.method.name} needs it", key=f"space.{name}")


def check_names(domain: Domain, names: Sequence[str], key: str, listed: str) -> None:
    """One or several of the names that the key `listed` lists."""
    for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
        if value not in names:
            rule = f"must be one of {listed}, {', '.join(names)}"
            raise InputError(rule, key=key, value=value, suggestion=did_you_mean(str(value), names))


def check_values(domain: Domain, bound: Bound, key: str) -> None:
    """Numbers that a hyper-parameter can take; of a range its two ends decide."""
    for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError("must be a number", key=key, value=value)
        if not bound.holds(value):
            raise InputError(str(bound), key=key, value=value)
        if not bound.whole and abs(value) > MOST:
            raise InputError(f"must be at most {MOST:g}: rows are stepped in float32", key=key, value=value)


def check_whole(domain: Domain, key: str) -> None:
    """Whole numbers, so no interval, between whose ends other numbers lie."""
    if isinstance(domain, Interval):
        found, hint = [domain.low, domain.high], f"Write {{int: [{domain.low:.0f}, {domain.high:.0f}]}}"
        raise InputError("must be whole numbers: a choice or an int range", key=key, value=found, suggestion=hint)
    numbers: Any = domain.values if isinstance(domain, Choice) else ()
    for value in numbers:
        if not float(value).is_integer():
            raise InputError("must be whole numbers", key=key, value=value)
        if value > LARGEST:  # a float
            raise InputError(f"must be at most {LARGEST}", key=key, value=value)


def workload_spec(file: SweepFile) -> Any:
    """The sweep without its search, as hosts get it."""
    from raysweep.engine.workload_spec import ObjectiveSpec, WitnessSpec, WorkloadSpec
    from raysweep.models.model import ModelSource

    sweep = file.single
    named = sweep.models.classifiers or {}
    classifiers = tuple((name, ModelSource(**one.model_dump())) for name, one in named.items())

    def source(keys: Any) -> ModelSource | None:
        return ModelSource(**keys.model_dump()) if keys is not None else None

    return WorkloadSpec(
        method=sweep.method.name,
        options=sweep.method.model_dump(exclude={"name", "trained"}),
        trained=getattr(sweep.method, "trained", None) if sweep.method.name == "biggan_am" else None,
        generator=source(sweep.models.generator),
        inpainter=source(sweep.models.inpainter),
        expert=source(sweep.models.expert),
        classifier=source(sweep.models.classifier) or classifiers[0][1],
        classifiers=classifiers,
        images=sweep.images.source if sweep.images else None,
        judge=source(sweep.models.judge),
        witnesses=tuple(
            WitnessSpec(name, ModelSource(**one.model_dump(exclude={"class_"})), one.class_)
            for name, one in (sweep.models.witnesses or {}).items()
        ),
        data=sweep.data.source,
        media=sweep.data.media or (sweep.images.media if sweep.images else None),
        target=sweep.target.class_,
        each=sweep.target.each,
        layer=sweep.target.layer,
        unit=sweep.target.unit,
        query=sweep.target.query,
        area=sweep.target.area.model_dump(exclude_none=True) if sweep.target.area else {},
        direction=sweep.direction,
        examples=sweep.examples,
        objectives=tuple(
            ObjectiveSpec(one.name, source(one.model), one.layer, one.reference) for one in sweep.objective
        ),
        seed=sweep.seed,
        precision=sweep.precision,
        folder=str(file.folder),
    )


def describe(file: SweepFile, workload: Workload) -> Iterator[str]:
    """What the data are, and which features each distance compares, in one line each.

    Raises:
        InputError: a classifier raises on some of the data.
    """
    from raysweep.engine.agreement import describe_data

    with located(file):
        yield describe_data(workload)
    yield from describe_objectives(workload)


def describe_objectives(workload: Workload) -> Iterator[str]:
    """Which features each distance compares, in one line each."""
    spec = workload.spec
    for one in spec.objectives:
        data = f"the class '{spec.target}' of {spec.data}" if one.reference == "class" else spec.data
        if one.name == "response_fd":
            what = f"responses of {workload.readout(workload.classifier.module).reads} of {spec.classifier.source}"
            extreme = "highest" if spec.direction == "maximise" else "lowest"
            yield f"response_fd: Fréchet distance in 1-D, {what}, to the {spec.examples} {extreme} of {data}"
        elif one.name in PER_ROW:
            yield f"{one.name}: {PER_ROW[one.name]}"
        else:
            model = (one.model or spec.classifier).source
            layer = getattr(workload.features(one.name), "reads", "Inception 2015-12-05 features")
            yield f"{one.name}: features are {layer} of {model}, compared with {data}{_looks(workload, one.name)}"


def _looks(workload: Workload, objective: str) -> str:
    """What an objective of a trained generator looks at."""
    if workload.spec.images is None:
        return ""
    if objective in LOOKS:
        return "; an oracle: it looks at real samples of the target class"
    which = ", mean over the classes" if objective == "seen_fd" else ", all classes together"
    oracle = "; an oracle: they show the target class" if workload.spec.method in SHOWN else ""
    return f"{which} that the images show{oracle}"


def cpus_of(sweep: Sweep) -> int:
    """How many CPUs each host takes."""
    return sweep.hosts.cpus or max(1, len(os.sched_getaffinity(0)) // sweep.hosts.most)


def slots_to_try(sweep: Sweep, device: str) -> dict[int, float]:
    """Rows of a lane that the numerics are chosen from, and the share of its slots that would be occupied."""
    from raysweep.cluster.host_plan import lanes_of
    from raysweep.engine.lane_sizes import lane_sizes

    if sweep.slots is not None or sweep.trains:
        return {sweep.slots or 1: 1.0}
    looks = counts(sweep.examples, sweep.stop.min_examples) if sweep.stop.scheduler == "race" else ()
    trials = min(sweep.concurrency, sweep.budget.trials or sweep.concurrency)
    lanes = lanes_of(device, cpus_of(sweep)) * sweep.hosts.most
    return lane_sizes(device, looks[0] if looks else sweep.examples, trials, lanes, racing=bool(looks))


def check_source(name: str | None, storage: Path) -> None:
    """The sweep that `search.from` names is there."""
    if name is not None:
        try:
            SweepResult.load(name, storage)
        except InputError as error:
            error.key = "search.from"
            raise


def make_writable(prepared: Prepared) -> None:
    """Make a sweep's folder and see that its log can be written."""
    try:
        prepared.log.parent.mkdir(parents=True, exist_ok=True)
        prepared.log.open("a", encoding="utf-8").close()
    except OSError as error:
        rule = f"must be a folder that can be written ({error.strerror}: {error.filename})"
        raise InputError(rule, key="--storage", value=str(prepared.storage)) from None


@contextmanager
def located(file: SweepFile) -> Iterator[None]:
    """Fill in file and line of errors that a lower room raises about a key."""
    try:
        yield
    except InputError as error:
        raise file.located(error) from None
