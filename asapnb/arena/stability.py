"""The largest stable step of a contestant in each scenario."""

from __future__ import annotations

import inspect
import math

from ..errors import RuleError, UsageError
from ..theory import stable_step
from .contestants import SETTINGS, Contestant
from .suite import Scenario

_MODELLED = {*inspect.signature(stable_step).parameters} & {*SETTINGS}  # settings that the model has
_REPLICAS = 50


def stable(one: Contestant, scenario: Scenario) -> float | None:
    """The largest step size times curvature that is stable in a scenario; see `asapnb.theory.stable_step`.

    It is None where that is not known: for scenarios without `has_limit`, and for contestants whose updates depend on
    more than the model has.

    Args:
        one: the contestant.
        scenario: the scenario.
    """
    if not scenario.has_limit or {*one.settings} - _MODELLED:
        return None
    try:
        found = stable_step(
            one.rule_for(scenario.workers),
            workers=scenario.workers,
            timing=f"compute={scenario.timing}",
            scheme=scenario.scheme,
            replicas=_REPLICAS,
            **one.settings,
        ).step
    except UsageError:
        return None
    except RuleError as error:
        raise RuleError(f"{one.name} failed in {scenario.name}: {error}") from error
    return found if math.isfinite(found) else None
