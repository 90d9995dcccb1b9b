"""The rules that hold between a sweep file's keys, beyond what its schema says of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from raysweep.errors import InputError, did_you_mean
from raysweep.objectives.preference import KNEE
from raysweep.record.store import check_uri
from raysweep.search.policies import make_policy
from raysweep.search.samplers import check_sampler

if TYPE_CHECKING:
    from raysweep.schema import ComparingSweep, SingleSweep, Sweep

EXCITE = ("am", "am_input", "am_expert")
"""Methods that make a unit's response as high, or as low, as they can."""
GANS = ("probegan", "probegan_naive", "probegan_oracle", "biggan", "biggan_am")
UNPROBING = "biggan"
"""The one of them that probes no classifier."""
ATTRIBUTIONS = ("lrp", "sensitivity", "attribution", "cam", "centre_box")
"""Methods that compute heat maps, in no steps."""
HEAT_MAPS = (*ATTRIBUTIONS, "gfi", "meaningful_perturbation")
"""Methods that make heat maps."""
OF_MAPS = (
    "localisation_error",
    "pointing_error",
    "flipping_morf",
    "flipping_lerf",
    "unfaithfulness",
    "diffuseness",
)
"""What both heat maps and masks can be scored by."""
OF_MAPS_MADE_AGAIN = ("max_sensitivity", "randomisation")
"""What takes further maps, of other inputs or by other networks: cheap enough where a map takes no steps."""
OF_MASKS = ("distortion", "sparsity", "rate_distortion", "feature_fd", "kid", "fid", *OF_MAPS)
OF_SEEN = ("seen_fd", "overall_fd", "overall_kid")
"""What a generator is scored by in the classes that it was shown."""
OF_TARGET = ("classifier_loss", "feature_fd", "kid", "fid")
"""What it is scored by in the class that it was not."""
OF_EXCITERS = ("response_fd", "feature_fd", "kid", "fid")
OBJECTIVES: dict[str, tuple[str, ...]] = dict.fromkeys(EXCITE, OF_EXCITERS)
OBJECTIVES |= {"rde": OF_MASKS, "rde_pursuit": OF_MASKS}
OBJECTIVES |= dict.fromkeys(HEAT_MAPS, ("rate_distortion", *OF_MAPS))
OBJECTIVES |= {name: (*OBJECTIVES[name], *OF_MAPS_MADE_AGAIN) for name in ATTRIBUTIONS}
OBJECTIVES |= dict.fromkeys(GANS, (*OF_SEEN, *OF_TARGET)) | {"biggan": OF_SEEN}
OBJECTIVES |= dict.fromkeys(("probegan_naive", "biggan_am"), OF_TARGET)
"""What each method can be scored by."""
WHY_NOT = {
    **dict.fromkeys((("probegan_naive", name) for name in OF_SEEN), "which makes the target alone"),
    **dict.fromkeys(
        (("biggan_am", name) for name in OF_SEEN),
        "which moves the target's embedding alone, so that it is the same for all trials",
    ),
    **dict.fromkeys((("biggan", name) for name in OF_TARGET), "which is not asked for the target"),
}
"""What methods of a kind are scored by, and this one is not."""
USES = {
    "patch": ("components", "patches"),
    "fill_value": ("fill", "constant"),
    "fill_share": ("fill", "phi_gt"),
    "blur": ("fill", "blur"),
}
"""Keys of a method that only one choice of another key reads."""
PAINTS = ("inpainter", "phi_gt")
"""Fills that a network of the sweep makes."""


def check_method(sweep: SingleSweep) -> None:
    """Raise InputError for the first rule that does not hold about the method, its networks and what it explains."""
    _check_keys(sweep)
    _check_training(sweep)
    if sweep.method.name in ATTRIBUTIONS and sweep.stop.scheduler in ("asha", "median"):
        rule = f"has no use with {sweep.method.name}, which takes no steps that a trial could be stopped between"
        raise InputError(rule, key="stop.scheduler", value=sweep.stop.scheduler, suggestion="Use race, or none")
    _check_target(sweep)
    _check_named(sweep)


def check_comparing(sweep: ComparingSweep) -> None:
    """Raise InputError for the first rule that does not hold between the methods that a sweep compares."""
    for name, method in sweep.method.choice.items():
        if method.name in GANS:
            rule = f"must not be {method.name}, which trains networks: its trials take another kind of share"
            hint = "Give it a sweep of its own, and look at both with raysweep compare"
            raise InputError(rule, key=f"method.choice.{name}", value=method.name, suggestion=hint)
    needed = [networks_of(method) for method in sweep.method.choice.values()]
    for role in needed[0]:
        given = getattr(sweep.models, role)
        if given is not None and not any(one[role] for one in needed):
            raise InputError("has no use with any of the methods", key=f"models.{role}", value=given.source)
    counts = [parameter for parameter in sweep.parsed_space.parameters if parameter.name == "steps"]
    if sweep.stop.scheduler in ("asha", "median") and (len(counts) != 1 or counts[0].when):
        rule = "must be none or race where methods have steps of their own, which say nothing about each other's"
        raise InputError(rule, key="stop.scheduler", value=sweep.stop.scheduler)


def check_search(sweep: Sweep) -> None:
    """Raise InputError for the first rule that does not hold about search, hosts and objectives."""
    space = sweep.parsed_space
    check_uri(sweep.mlflow, "mlflow")
    check_sampler(space, sweep.search.sampler, len(sweep.objective))
    if sweep.search.sampler != "grid" and not sweep.budget.model_dump(exclude_none=True):
        raise InputError(
            f"must be given with the {sweep.search.sampler} sampler, which never ends by itself",
            key="budget",
            suggestion="Write budget: {trials: 50}",
        )
    if "steps" in space or sweep.stop.scheduler == "race":
        stop = sweep.stop.model_dump()
        make_policy(stop.pop("scheduler"), space.steps, sweep.concurrency, sweep.examples, **stop)
    hosts = sweep.hosts
    if hosts.count is not None and hosts.max is not None:
        raise InputError("must not be given with hosts.max, which is the same", key="hosts.count", value=hosts.count)
    if hosts.min > hosts.most:
        raise InputError(f"must be at most {hosts.most}, the number of hosts", key="hosts.min", value=hosts.min)
    names = [objective.name for objective in sweep.objective]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError("must not name an objective twice", key=f"objective.{index}", value=name)
    if sweep.prefer is not None:
        _check_preference(sweep.prefer, names)


def networks_of(method: Any) -> dict[str, bool]:
    """Which networks a method works with, of those that not every one does."""
    return {
        "generator": method.name == "am",
        "inpainter": getattr(method, "fill", None) in PAINTS,
        "expert": method.name == "am_expert",
        "judge": method.name not in HEAT_MAPS,
    }


def _check_preference(prefer: str | dict[str, float], names: Sequence[str]) -> None:
    """It is among the objectives that the preference chooses."""
    if len(names) == 1:
        raise InputError("has a use only with several objectives", key="prefer", value=prefer)
    stated = [prefer] if isinstance(prefer, str) else list(prefer)
    for name in stated:
        choices = [*names, KNEE] if isinstance(prefer, str) else names
        if name not in choices:
            key = "prefer" if isinstance(prefer, str) else f"prefer.{name}"
            hint = did_you_mean(name, choices)
            raise InputError("must be one of the objectives", key=key, value=name, suggestion=hint)
    for name, weight in prefer.items() if isinstance(prefer, dict) else ():
        if weight < 0:
            raise InputError("must be at least 0", key=f"prefer.{name}", value=weight)
    if isinstance(prefer, dict) and not any(prefer.values()):
        raise InputError("must give one objective a weight above 0", key="prefer", value=prefer)


def _check_training(sweep: SingleSweep) -> None:
    """What methods that train networks need, and no other has."""
    trains, models = sweep.trains, sweep.models
    if (models.classifier is None) == (models.classifiers is None):
        found = models.classifiers and list(models.classifiers)
        raise InputError("must be given, or else models.classifiers", key="models.classifier", value=found)
    for key, given in (("images", sweep.images), ("models.classifiers", models.classifiers)):
        if given is not None and not trains:
            raise InputError(f"has no use with {sweep.method.name}, which trains nothing", key=key)
    if not trains:
        return
    if sweep.method.name == "biggan_am" and getattr(sweep.method, "trained", None) is None:
        rule = "must be given: the generator that biggan_am searches in"
        hint = "Run a sweep of biggan first, and let raysweep best NAME -o best.yaml write its generator"
        raise InputError(rule, key="method.trained", suggestion=hint)
    if sweep.images is None:
        raise InputError(f"must be given: {sweep.method.name} trains on them", key="images")
    if sweep.images.media is not None and sweep.data.media not in (None, sweep.images.media):
        rule = f"must be that of data, {sweep.data.media}: what is made of the ones is compared with the others"
        raise InputError(rule, key="images.media", value=sweep.images.media)
    if sweep.target.class_ is None:
        raise InputError(f"must be a class: {sweep.method.name} leaves one out", key="target")
    if sweep.stop.scheduler == "race":
        rule = f"has no use with {sweep.method.name}, whose explanations are all there at once"
        raise InputError(rule, key="stop.scheduler", value="race", suggestion="Use asha, or median")
    if sweep.slots not in (None, 1):
        raise InputError("must be 1 where networks are trained", key="slots", value=sweep.slots)


def _check_named(sweep: SingleSweep) -> None:
    """Where there are several names, the space says which count."""
    for name, names in sweep.names.items() if sweep.method.name != UNPROBING else ():
        if len(names) > 1 and name not in sweep.parsed_space:
            hint = f"Write {{choice: [{', '.join(names)}]}}"
            raise InputError(f"must say which of {sweep.method.named[name]}", key=f"space.{name}", suggestion=hint)


def _check_target(sweep: SingleSweep) -> None:
    """What is explained is said in one way."""
    target = sweep.target
    ways = [target.class_, target.unit, target.each, target.query]
    if sum(way is not None for way in ways) != 1 or (target.unit is not None and target.layer is None):
        found = target.model_dump(by_alias=True, exclude_none=True)
        each = "" if sweep.method.name in EXCITE else ", or each: predicted or label, or a query with its area"
        raise InputError(f"must be either a class, or a layer with a unit{each}", key="target", value=found)
    for name in ("each", "query"):
        if getattr(target, name) is not None and sweep.method.name in EXCITE:
            rule = f"has no use with {sweep.method.name}, which explains no samples"
            raise InputError(rule, key=f"target.{name}", value=getattr(target, name))
    if target.query is not None and sweep.method.name in HEAT_MAPS:
        rule = f"has no use with {sweep.method.name}, which explains one unit's response"
        raise InputError(rule, key="target.query", value=target.query)
    if target.query is not None and target.layer is not None:
        rule = "has no use with a query, which asks for what the network makes in the end"
        raise InputError(rule, key="target.layer", value=target.layer)
    if target.area is not None:
        _check_area(target.area.model_dump(exclude_none=True), target.query)


def _check_area(area: dict[str, list[int]], query: str | None) -> None:
    """It is somewhere, and something asks for it."""
    if query is None:
        rule = "has a use only with a query: darken or darken_and_brighten"
        raise InputError(rule, key="target.area", value=area)
    for name, reach in area.items():
        if len(reach) != 2 or not 0 <= reach[0] < reach[1]:
            rule = f"must be [first, last], the last of the {name} not among them, and 0 ≤ first < last"
            raise InputError(rule, key=f"target.area.{name}", value=reach)


def _check_keys(sweep: SingleSweep) -> None:
    """Each method has its own networks, objectives and keys."""
    method, models = sweep.method, sweep.models
    fill = getattr(method, "fill", None)
    networks = networks_of(method)
    for role in ("generator", "inpainter", "expert"):
        needed, given = networks[role], getattr(models, role)
        if needed and given is None:
            what = f"{method.name} with fill: {fill}" if role == "inpainter" else method.name
            raise InputError(f"must be given: {what} needs one", key=f"models.{role}")
        if given is not None and not needed:
            what = f"{method.name} with fill: {fill}" if role == "inpainter" and fill else method.name
            raise InputError(f"has no use with {what}", key=f"models.{role}", value=given.source)
    if models.judge is not None and method.name in HEAT_MAPS:
        rule = f"has no use with {method.name}, whose heat maps show nothing that could be recognised"
        raise InputError(rule, key="models.judge", value=models.judge.source)
    for index, one in enumerate(sweep.objective):
        if one.name in OF_MAPS_MADE_AGAIN and method.name not in ATTRIBUTIONS:
            rule = (
                f"has a use only with {', '.join(ATTRIBUTIONS)}: it has every map made again, which they do in no steps"
            )
            raise InputError(rule, key=f"objective.{index}.name", value=one.name)
        if one.name not in OBJECTIVES[method.name]:
            why, own = WHY_NOT.get((method.name, one.name)), OBJECTIVES[method.name]
            rule = f"no objective of {method.name}" + (f", {why}" if why else "")
            hint = f"Take {own[0]}" if why else did_you_mean(one.name, own)
            raise InputError(rule, key=f"objective.{index}.name", value=one.name, suggestion=hint)
        if one.reference is not None and (method.name not in EXCITE or sweep.target.class_ is None):
            rule = "has a use only with a method that excites a unit, and a class as its target"
            raise InputError(rule, key=f"objective.{index}.reference", value=one.reference)
        if one.name in OF_MAPS:
            _check_maps(sweep, one.name)
    if method.name not in EXCITE and sweep.direction == "minimise":
        rule = f"has no use with {method.name}, which keeps a score as it is"
        raise InputError(rule, key="direction", value=sweep.direction)
    if getattr(method, "quantity", None) == "log_probability":
        _check_probability(sweep)
    for key, (other, choice) in USES.items():
        value = getattr(method, key, None)
        if value is not None and value != _default(method, key) and getattr(method, other) != choice:
            raise InputError(f"has a use only with {other}: {choice}", key=f"method.{key}", value=value)
    components = getattr(method, "components", "")
    if fill == "phi_gt" and components not in ("measurements", "buildings+measurements"):
        rule = "must be measurements or buildings+measurements with fill: phi_gt, which fills in measurements"
        raise InputError(rule, key="method.components", value=components)


def _check_maps(sweep: SingleSweep, objective: str) -> None:
    """A map is one sample's, and for one score of it."""
    if getattr(sweep.method, "per", None) == "class":
        rule = f"must be example with {objective}, which looks at one sample"
        raise InputError(rule, key="method.per", value="class")
    if sweep.target.query is not None:
        rule = f"has no use with {objective}, which is about one score of a sample"
        raise InputError(rule, key="target.query", value=sweep.target.query)


def _check_probability(sweep: SingleSweep) -> None:
    """A probability is a class's, and is made as high as it can be."""
    quantity = sweep.model_dump()["method"]["quantity"]
    if sweep.target.class_ is None:
        rule = "must be response with a unit of a layer: the probability is a class's"
        raise InputError(rule, key="method.quantity", value=quantity)
    if sweep.direction == "minimise":
        rule = "must be response with direction: minimise: a probability is maximised"
        raise InputError(rule, key="method.quantity", value=quantity)


def _default(keys: BaseModel, key: str) -> Any:
    """What a key is when it is not given; a winner's file gives all of them."""
    return type(keys).model_fields[key].default
