"""An in-memory Optuna study as a projection of the journal: it is rebuilt by asking again, never stored.

Choices are given to Optuna as indices, so that any scalar may be one and a widened choice is just a longer range.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raysweep.search.domains import Choice, Domain, Fixed, Integers
from raysweep.search.outcomes import Outcome
from raysweep.search.samplers import build_sampler, seed_of
from raysweep.search.space import Config, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

NSGA2_GENERATION = "NSGAIISampler:generation"  # where Optuna keeps a trial's generation (`BaseGASampler`)


class Projection:
    """Asks and tells one study; trials are known by their number in the sweep.

    Args:
        space, sampler, seed, directions, startup, warm: see `suggest.Suggestions`.
    """

    def __init__(
        self,
        space: Space,
        sampler: str,
        seed: int,
        directions: Sequence[str],
        *,
        startup: int,
        warm: Sequence[tuple[Config, Outcome]],
    ) -> None:
        import optuna

        self._space, self._sampler, self._seed, self._startup = space, sampler, seed, startup
        self._single = len(directions) == 1
        self._asked: dict[int, Trial] = {}
        self._warm = [
            self._remembered(config, outcome)
            for config, outcome in warm
            if space.contains(config) and not outcome.failed and len(outcome.values or ()) == len(directions)
        ]
        with _quiet():
            self._study = optuna.create_study(
                directions=["maximize" if direction == "maximise" else "minimize" for direction in directions]
            )
            self._study.add_trials(self._warm)

    def ask(self, number: int) -> Config:
        """The configuration of trial `number`."""
        with _quiet():
            self._study.sampler = build_sampler(
                self._sampler,
                self._space,
                seed_of(self._seed, number),
                startup=self._startup,
                warm=self._warm,
            )
            trial = self._asked[number] = self._study.ask()
            config: Config = {}
            for parameter in self._space.parameters:
                if parameter.active(config):
                    config[parameter.name] = _suggest(trial, parameter.path, parameter.domain)
        return config

    def tell(self, number: int, outcome: Outcome) -> None:
        """Let the study know how trial `number` ended.

        TPE has its own rule for a pruned trial (ordered after the complete ones, by step and value). The other samplers
        would forget it, and Optuna reports no steps with several objectives: there its last values count as a result.
        """
        from optuna.trial import TrialState

        trial = self._asked.pop(number)
        with _quiet():
            if outcome.failed or outcome.values is None:
                self._study.tell(trial, state=TrialState.FAIL)
            elif outcome.pruned_at is not None and self._sampler == "tpe" and self._single:
                trial.report(outcome.values[0], outcome.pruned_at)
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, list(outcome.values))

    def _remembered(self, config: Config, outcome: Outcome) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        active = self._space.active(config).values()
        free = {one.path: (one.domain, config[one.name]) for one in active if not isinstance(one.domain, Fixed)}
        pruned = outcome.pruned_at is not None and self._sampler == "tpe" and self._single
        values = list(outcome.values or ())
        return create_trial(
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            values=values,
            intermediate_values={outcome.pruned_at: values[0]} if pruned and outcome.pruned_at is not None else None,
            params={path: _internal(domain, value) for path, (domain, value) in free.items()},
            distributions={path: _distribution(domain) for path, (domain, _) in free.items()},
            system_attrs={NSGA2_GENERATION: 0} if self._sampler == "nsga2" else None,
        )


def _suggest(trial: Trial, name: str, domain: Domain) -> Any:
    if isinstance(domain, Fixed):
        return domain.values[0]
    if isinstance(domain, Choice):
        return domain.values[trial.suggest_categorical(name, range(len(domain.values)))]
    if isinstance(domain, Integers):
        return int(trial.suggest_int(name, domain.low, domain.high))
    return float(trial.suggest_float(name, domain.low, domain.high, log=domain.log))


def _internal(domain: Domain, value: Any) -> Any:
    return domain.index(value) if isinstance(domain, Choice) else domain.canonical(value)


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna import distributions

    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution(range(len(domain.values)))
    if isinstance(domain, Integers):
        return distributions.IntDistribution(domain.low, domain.high)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's per-trial chatter and its notes on experimental arguments from the user, and nothing else."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
