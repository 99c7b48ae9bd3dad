"""Who takes part: a rule, with settings of the update if there are any. And those that asapnb has itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError, unknown
from ..rules import Rule, as_rule
from ..training.arguments import ARGUMENTS, checked_argument, of_replay

# What a contestant may set: whatever a replay may change, and the schedule. Step sizes are the arena's.
SETTINGS = tuple(name for name in ("schedule", *of_replay("changed")) if name not in ("step_size", "prior"))
_BY_WORKERS = re.compile(r"\{(\d*)m\}")
_FOLDERS = re.compile(r"^[^'\"(]*/")  # of a rule in a file
BASELINE = "constant"


@dataclass(frozen=True)
class Contestant:
    """A rule with settings; made by `contestant`.

    Attributes:
        name: its name in tables and figures.
        rule: the rule, or its text. In a text, {10m} stands for ten times the number of workers of a scenario.
        settings: arguments of a replay, such as compensation=0.04.
        knows_staleness: whether the rule knows the staleness of a scenario from the first update.
    """

    name: str
    rule: Rule | str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    knows_staleness: bool = True

    def rule_for(self, workers: int) -> Rule:
        """The rule for this number of workers."""
        if isinstance(self.rule, Rule):
            return self.rule
        return as_rule(_BY_WORKERS.sub(lambda found: str(int(found[1] or 1) * workers), self.rule))


def contestant(rule: Any, *, name: str | None = None, knows_staleness: bool = True, **settings: Any) -> Contestant:
    """Make a contestant of the arena.

    Args:
        rule: a rule, its text, or a function f(staleness, workers) that returns the scales. In a text, {m} stands for
            the number of workers of a scenario, and {10m} for ten times that number.
        name: its name in tables; by default the rule and its settings.
        knows_staleness: whether the rule's first table is made from the staleness of the scenario. Then the rule acts
            from the first update. Else all scales are 1 until it makes its first table.
        settings: arguments of `asapnb.simulate` that belong to the update: schedule, optimizer, momentum,
            momentum_kind, direct_share, weight_decay, compensation, clip, worker_tables.

    Returns:
        The `Contestant`.

    Raises:
        UsageError, RuleError: for a rule or a setting that cannot be used.

    >>> contestant("tail(0.5)", compensation=0.04).name
    'tail(0.5), compensation=0.04'
    >>> contestant("tail(refresh=once({10m}, {15m}))").rule_for(workers=8)
    tail(amplitude=1.0, refresh=once(80, 120))
    """
    for setting, value in settings.items():
        if setting not in SETTINGS:
            raise unknown("setting of a contestant", setting, SETTINGS)
        checked_argument("simulate", setting, value)
    by_workers = isinstance(rule, str) and _BY_WORKERS.search(rule)
    chosen = rule if by_workers else as_rule(rule)
    made = Contestant("", chosen, {key: value for key, value in settings.items() if value != ARGUMENTS[key].default},
                      knows_staleness)  # fmt: skip
    made.rule_for(1)
    text = rule.strip() if isinstance(rule, str) else str(chosen).removesuffix("()")
    shown = [_FOLDERS.sub("", text), *(f"{key}={value}" for key, value in made.settings.items())]
    shown += [] if knows_staleness else ["learning the staleness"]
    return Contestant(_checked_name(name or ", ".join(shown)), chosen, made.settings, knows_staleness)


def _checked_name(name: str) -> str:
    if not name.strip() or "\n" in name:
        raise UsageError(f"name is {name!r}: give one line of text")
    return name


RELEASED = "tail(cdf='exclusive', refresh=once({10m}, {15m}))"


def builtin() -> list[Contestant]:
    """The contestants whose results come with asapnb. The first is the baseline, `constant`.

    >>> builtin()[0].name, len({one.name for one in builtin()}) == len(builtin())
    ('constant', True)
    """
    return [
        contestant("constant", name=BASELINE),
        contestant("tail", name="tail"),
        contestant("tail(cdf='exclusive')", name="tail, exclusive"),
        contestant(RELEASED, name="tail, as released", knows_staleness=False),
        contestant("shuffled(tail)", name="tail, shuffled"),
        contestant("power(3)"),
        contestant("quantile_cut(0.5)"),
        contestant("exponential_profile(2)"),
        contestant("mindthestep", name="mindthestep"),
        contestant("inverse", name="inverse"),
        contestant("preserve(inverse)", name="preserve(inverse)"),
        contestant("exponential(0.1)"),
        contestant("fleet", name="fleet"),
        contestant("preserve(fleet)", name="preserve(fleet)"),
        contestant("polynomial", name="polynomial"),
        contestant("preserve(polynomial)", name="preserve(polynomial)"),
        contestant("delay_adaptive", name="delay_adaptive"),
        contestant("concurrency", name="concurrency"),
        contestant("ringmaster({2m})"),
        contestant("adadelay(0.001)"),
        contestant("constant", name="dc-asgd", compensation=0.04),
        contestant("constant", name="momentum 0.9", momentum=0.9),
        contestant("constant", name="direct share 0.4", momentum=0.75, direct_share=0.4),
    ]
