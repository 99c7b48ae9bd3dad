"""Whether a rule satisfies the conditions of ASAP.SGD, under one staleness distribution or under many.

With eta(tau) = step_size * scale[tau], the conditions of Bäckström, Papatriantafilou, Tsigas (ICML 2022) are

    C1  E[scale] = 1                        the magnitude of steps is preserved
    C2  scale[tau] >= scale[tau + 1]        a stale update never counts for more than a fresher one
    C3  0 <= scale <= c, c finite           bounded, and never uphill
    C4  scale[freshest] > 1 > scale[stalest] unless staleness is constant or the rule is

C2 and C3 hold or fail over the whole table, also beyond the stalest update seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError, UsageError
from ..markup import block, line, table
from ..numbers import integer, real
from ..staleness import StalenessDistribution, parse_staleness
from .context import OUTSIDE
from .framework import LARGEST_SCALE, Rule, raw_scales
from .reading import RuleLike, as_rule
from .registry import CONDITIONS
from .search import Named, candidates, described, simplest
from .tables import table_length

_ROUNDING = 1e-12  # relative error of a scale; also the probability up to which a staleness counts as not seen


@dataclass(frozen=True)
class Finding:
    """What `check` found about one condition, under one staleness distribution.

    Attributes:
        condition: "C1", "C2", "C3" or "C4".
        holds: whether the condition holds.
        violation: by how much the scales miss the condition. C1: |E[scale] - 1|. C2: the largest rise. C3: how far a
            scale is outside its bounds. C4: how far a scale is on the wrong side of 1; negative if C4 holds.
        tau: the staleness at which this happens; None for C1, which is about a mean.
        value: E[scale] for C1, otherwise the scale at `tau`. If C3 holds, this is the largest scale.
        text: the finding in words.
        witness: the distribution as text. `parse_staleness` reads it where possible.
        staleness: the distribution.
        workers: the number of workers that the rule was given.

    >>> found = check("inverse", "constant(1)", workers=2)["C1"]
    >>> found.holds, found.violation, found.value
    (False, 0.5, 0.5)
    """

    condition: str
    holds: bool
    violation: float
    tau: int | None
    value: float
    text: str
    witness: str
    staleness: StalenessDistribution
    workers: int

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "FAILS"
        return f"{self.condition} {verdict}: {self.text}" + ("" if self.holds else f", under {self.under}")

    @property
    def under(self) -> str:
        """The distribution and the number of workers, in words."""
        return f"{self.witness}, workers={self.workers}"


Judge = Callable[[str, StalenessDistribution], tuple[Finding, ...]]  # of one rule: C1 to C4 under a distribution


@dataclass(frozen=True, repr=False)
class Report:
    """What `check` found. As a bool it is True if C1, C2 and C3 hold; `report["C2"]` is the finding for C2.

    Attributes:
        rule: the rule that was checked.
        findings: one for each of C1 to C4. After a search, a failed condition comes with the simplest distribution
            that breaks it. A condition that holds comes with the distribution that came closest to breaking it.
        searched: how many distributions were tried.
        notes: what the check does not cover, one sentence each.

    >>> report = check("inverse", "uniform(0, 3)")
    >>> bool(report), report.holds(["C2", "C3"]), report.bound
    (False, True, 1.0)
    """

    rule: Rule
    findings: tuple[Finding, ...]
    searched: int
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.holds()

    def __getitem__(self, condition: str) -> Finding:
        return self.findings[CONDITIONS.index(condition)]

    def holds(self, conditions: Iterable[str] = CONDITIONS[:3]) -> bool:
        """Whether all these conditions hold; by default C1, C2 and C3."""
        return all(self[name].holds for name in conditions)

    @property
    def bound(self) -> float:
        """The largest scale found, which is c of C3; infinite if C3 fails."""
        return self["C3"].value if self["C3"].holds else math.inf

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A row for each condition: its name, "holds" or "fails", the finding in words, what breaks it (or "")."""
        return [
            (found.condition, *(("holds", found.text, "") if found.holds else ("fails", found.text, found.under)))
            for found in self.findings
        ]

    @property
    def scope(self) -> str:
        """Which distributions were tried, in words."""
        return self["C1"].under if self.searched == 1 else f"{self.searched:,} distributions"

    @property
    def title(self) -> str:
        """The rule, and the distributions it was checked under, in words."""
        return f"{self.rule} under {self.scope}"

    def __str__(self) -> str:
        return "\n".join([self.title, *map(str, self.findings), *self.notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return block(table(("", "", "finding", "under"), self.rows()), *map(line, self.notes), title=self.title)


def check(
    rule: RuleLike,
    staleness: StalenessDistribution | str | None = None,
    workers: int | None = None,
    *,
    tolerance: float = 1e-9,
    seed: int = 0,
    tries: int = 500,
) -> Report:
    """Check whether a rule meets the conditions C1 to C4 of ASAP.SGD.

    C1: E[scale] = 1, so the mean step is kept. C2: the scale never rises with the staleness. C3: scales are finite
    and at least 0. C4: the scale of the freshest update is above 1, and that of the stalest below 1.

    Without a `staleness`, the check searches for a distribution that breaks a condition. It tries simple ones first,
    and then `tries` random ones of several families: geometric, Poisson, CMP, uniform, gaps, heavy tails, unequal
    workers, and mixtures. A search that finds nothing proves nothing.

    Args:
        rule: a rule, its text, or a function (staleness, workers) -> scales.
        staleness: the distribution to check under, or its text; None to search.
        workers: the number of workers that the rule is given. None for the mean staleness + 1, rounded: so many
            equal workers show this staleness.
        tolerance: how far E[scale] may be from 1; >= 0.
        seed: the seed of the random distributions; >= 0.
        tries: how many random distributions to try; >= 0.

    Raises:
        RuleError: if the rule cannot be evaluated. The error names the rule and the distribution.
        UsageError: if the staleness is not a distribution, or is empty.

    Source: Bäckström, Papatriantafilou, Tsigas: ASAP.SGD, ICML 2022.

    >>> print(check("tail", "uniform(0, 3)"))
    tail(amplitude=1.0) under uniform(0, 3), workers=3
    C1 holds: E[scale] = 1 within 0
    C2 holds: the scale never rises
    C3 holds: 0 <= scale <= 1.75
    C4 holds: fresh updates leveraged, stale ones dampened
    >>> print(check("inverse")["C1"])
    C1 FAILS: E[scale] = 0.5, under constant(1), workers=2
    """
    rule = as_rule(rule)
    workers = None if workers is None else integer("workers", workers, 1)
    judge: Judge = partial(_judged, rule, workers, real("tolerance", tolerance, 0))
    if staleness is None:
        searched = candidates(integer("seed", seed), integer("tries", tries))
        return Report(rule, _search(judge, searched), len(searched), _notes(rule))
    seen = parse_staleness(staleness) if isinstance(staleness, str) else staleness
    if not isinstance(seen, StalenessDistribution):
        raise UsageError(f"staleness is {seen!r:.80}: must be a StalenessDistribution, its text, or None to search")
    if seen.is_empty:
        raise UsageError(
            "staleness is empty, so there is nothing to check the rule under: give a distribution with updates"
        )
    text = staleness if isinstance(staleness, str) else described(staleness)
    return Report(rule, judge(text, seen), 1, _notes(rule))


def _notes(rule: Rule) -> tuple[str, ...]:
    found = []
    if rule.schedule is not None:
        found.append(
            f"Only the table was checked. A run multiplies each scale by a factor of that update, {rule.schedule}."
        )
    if rule.shuffled:
        found.append(
            "C2 and C4 are about the table. They do not hold for updates, because the scales are permuted over them: "
            "a stale update may get the scale of a fresh one."
        )
    if rule.sees:
        found.append(f"{told(rule)}, as when a run begins. With other values the conditions may hold or fail.")
    return tuple(found)


def told(rule: Rule) -> str:
    """What a rule is told outside of a run, in words; empty if it names nothing.

    >>> told(as_rule(lambda staleness, workers, progress: 0))
    'The rule was told progress = 0.0'
    """
    values = ", ".join(f"{name} = {getattr(OUTSIDE, name)}" for name in rule.sees)
    return f"The rule was told {values}" if values else ""


def _search(judge: Judge, searched: Sequence[Named]) -> tuple[Finding, ...]:
    """For each condition the first distribution that breaks it, simplified; else the one that came closest."""
    found: tuple[Finding, ...] = ()
    for text, staleness in searched:
        try:
            new = judge(text, staleness)
        except RuleError:
            break
        found = tuple(map(_worse, found, new)) if found else new
    else:
        return tuple(worst if worst.holds else _simplified(judge, worst) for worst in found)
    return judge(*simplest(staleness, lambda *simpler: _raises(judge, *simpler)))  # the error, at its simplest


def _worse(old: Finding, new: Finding) -> Finding:
    """The first that fails; if none does, the one nearer to failing."""
    if old.holds and (not new.holds or (new.violation, new.value) > (old.violation, old.value)):
        return new
    return old


def _simplified(judge: Judge, failed: Finding) -> Finding:
    index = CONDITIONS.index(failed.condition)
    return judge(*simplest(failed.staleness, lambda *simpler: not judge(*simpler)[index].holds))[index]


def _raises(judge: Judge, text: str, staleness: StalenessDistribution) -> bool:
    try:
        judge(text, staleness)
    except RuleError:
        return True
    return False


def _judged(
    rule: Rule, workers: int | None, tolerance: float, text: str, staleness: StalenessDistribution
) -> tuple[Finding, ...]:
    """All four conditions under one distribution, at the length that the table of a run would have."""
    if workers is None:
        workers = 1 + round(staleness.mean())
    padded = staleness.padded(table_length(workers, staleness.support))
    try:
        with np.errstate(all="ignore"):
            scales = raw_scales(rule, padded, workers)
        facts = [judge(scales, padded, tolerance) for judge in (_c1, _c2, _c3, _c4)]
    except RuleError as error:
        if not isinstance(error.__cause__, RuleError):
            raise RuleError(f"{error}; under {text}, workers={workers}") from error.__cause__
        # The rule itself says that it has no scales here, as one does that divides by a mean of 0.
        none: _Fact = (True, -math.inf, None, -math.inf, "there are no scales")
        facts = [(False, math.inf, None, math.nan, str(error.__cause__)), none, none, none]
    return tuple(Finding(name, *fact, text, staleness, workers) for name, fact in zip(CONDITIONS, facts, strict=True))


_Fact = tuple[bool, float, int | None, float, str]  # the fields of a Finding from `holds` to `text`


def _c1(scales: NDArray[np.float64], staleness: StalenessDistribution, tolerance: float) -> _Fact:
    seen = staleness.pmf > 0
    mean = float(scales[seen] @ staleness.pmf[seen])
    miss = math.inf if math.isnan(mean) else abs(mean - 1.0)
    holds = miss <= tolerance
    return holds, miss, None, mean, f"E[scale] = 1 within {miss:.1g}" if holds else f"E[scale] = {mean:.10g}"


def _c2(scales: NDArray[np.float64], staleness: StalenessDistribution, tolerance: float) -> _Fact:
    usable = np.where(np.isfinite(scales), scales, LARGEST_SCALE)  # C3 judges the others
    rises = usable[1:] - np.minimum.accumulate(usable)[:-1]
    stale = int(rises.argmax()) + 1
    rise = float(rises[stale - 1])
    if rise <= _ROUNDING * max(1.0, float(usable.max())):
        return True, max(0.0, rise), stale, float(scales[stale]), "the scale never rises"
    fresh = stale - 1 - int(usable[stale - 1 :: -1].argmin())
    text = f"the scale rises from {scales[fresh]:.6g} at tau = {fresh} to {scales[stale]:.6g} at tau = {stale}"
    return False, rise, stale, float(scales[stale]), text


def _c3(scales: NDArray[np.float64], staleness: StalenessDistribution, tolerance: float) -> _Fact:
    bad = ~((scales >= 0) & (scales <= LARGEST_SCALE))
    tau = int(bad.argmax() if bad.any() else scales.argmax())
    value = float(scales[tau])
    if bad[tau]:
        beyond = -value if -math.inf < value < 0 else math.inf
        return False, beyond, tau, value, f"scale {value:.6g} at tau = {tau}, must be finite and >= 0"
    return True, 0.0, tau, value, f"0 <= scale <= {value:.6g}"


def _c4(scales: NDArray[np.float64], staleness: StalenessDistribution, tolerance: float) -> _Fact:
    fresh, stale = int(np.flatnonzero(staleness.pmf)[0]), staleness.support
    first, last = float(scales[fresh]), float(scales[stale])
    if np.ptp(scales) <= _ROUNDING * max(1.0, first):
        return True, -math.inf, fresh, first, "the rule is constant"
    if np.count_nonzero(staleness.pmf > _ROUNDING) < 2:
        return True, -math.inf, fresh, first, f"tau is constant, {fresh if fresh == stale else 'nearly'}"
    if not first > 1.0:
        return False, 1.0 - first, fresh, first, f"scale {first:.6g} at tau = {fresh}, the freshest: must be above 1"
    if not last < 1.0:
        return False, last - 1.0, stale, last, f"scale {last:.6g} at tau = {stale}, the stalest: must be below 1"
    return True, max(1.0 - first, last - 1.0), stale, last, "fresh updates leveraged, stale ones dampened"
