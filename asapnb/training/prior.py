"""The staleness that a run is expected to show. The first tables of its rule are made from it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..errors import RecordError, UsageError, shown
from ..identity import Recorded
from ..record import Run, load_run
from ..schemes import Scheme
from ..staleness import StalenessDistribution, parse_staleness
from ..staleness.models import MODELS
from ..text import LONGEST_CALL, parse_call
from ..timing import Timing, as_timing

_COUNTS = re.compile(r"\s*counts\b")
_MODEL = re.compile(rf"\s*({'|'.join((*MODELS, 'mixture'))})\b(?!\s*=)")
_SIMULATOR = "asapnb.simulator"  # imported when a timing is simulated, as what runs an event loop is
_UPDATES = 10_000, 100  # that are simulated of a timing: at least, and for each worker


@dataclass(frozen=True)
class Prior:
    """An expected staleness, given by a text: a model of staleness, a timing, or "counts([4, 2, 1])".

    >>> from asapnb.schemes import LockBased
    >>> as_prior([4, 2, 1]).staleness(LockBased(), workers=2).mean().__round__(3)
    0.571
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def staleness(self, scheme: Scheme, workers: int, local_steps: int = 1) -> StalenessDistribution:
        """The distribution. A timing is simulated, for this scheme and number of workers."""
        if _COUNTS.match(self.text):
            return _of_counts(self.text)
        if _MODEL.match(self.text):
            return parse_staleness(self.text)
        return _simulated(self.text, scheme, workers, local_steps)


def as_prior(value: Any) -> Prior | None:
    """A prior from a distribution, counts by staleness, a run file, a timing, or the text of any; None for None.

    UsageError for what cannot be read or holds nothing.

    >>> print(as_prior("geometric(m=16)"), as_prior([4.0, 2, 1]), as_prior("compute=exponential(1)"))
    geometric(m=16) counts([4, 2, 1]) compute=exponential(1)
    """
    if value is None or isinstance(value, Prior):
        return value
    if isinstance(value, Recorded) and value.strip().endswith((".h5", ".toml")):
        raise RecordError(
            f"{value.where} names the file {value} as its prior, which is not opened: give another prior"
        )
    if isinstance(value, str | os.PathLike) and str(value).strip().endswith(".h5"):
        return as_prior(load_run(str(value).strip()))
    if isinstance(value, Run):
        return _from_counts(value.staleness_counts.sum(axis=0), f"the prior {value.path or 'run'}")
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, StalenessDistribution):
        return _from_counts(value.pmf, "the prior")
    if isinstance(value, Timing | Mapping):
        return Prior(str(as_timing(value)))
    try:
        return _from_counts(value, "the prior")
    except UsageError:
        raise UsageError(
            f"prior is {value!r:.80}: must be a StalenessDistribution, counts by staleness such as [4, 2, 1], a "
            "timing, or a text such as geometric(m=16), counts([4, 2, 1]), compute=exponential(1), or a run file"
        ) from None


def _from_text(text: str) -> Prior:
    if not text.strip():
        raise UsageError("the prior is empty: give a model of staleness, such as geometric(m=16), or leave it out")
    if _COUNTS.match(text):
        _of_counts(text)
    elif _MODEL.match(text):
        parse_staleness(text)
    elif text.strip().endswith(".toml"):
        return Prior(str(as_timing(text)))
    else:
        try:
            as_timing(text)
        except UsageError as error:
            raise UsageError(
                f"cannot read the prior {shown(text)}: give a model of staleness, such as geometric(m=16), "
                f"counts([4, 2, 1]), a run file, or a timing, which is simulated: {error}"
            ) from None
    return Prior(text.strip())


def _from_counts(counts: ArrayLike, what: str) -> Prior:
    """A prior of these weights by staleness."""
    seen = StalenessDistribution.from_counts(counts)
    if seen.is_empty:
        raise UsageError(f"{what} holds no staleness: give another")
    weights = np.asarray(counts, np.float64)[: seen.support + 1].tolist()
    text = f"counts([{', '.join(str(int(one)) if one.is_integer() else repr(one) for one in weights)}])"
    if len(text) > LONGEST_CALL:
        raise UsageError(f"{what} has {len(weights):,} entries, too many for a text: give a model or a timing")
    return Prior(text)


def _of_counts(text: str) -> StalenessDistribution:
    seen: StalenessDistribution = parse_call(text, {"counts": StalenessDistribution.from_counts}, "prior")
    if seen.is_empty:
        raise UsageError(f"the prior {shown(text)} holds no staleness: give another")
    return seen


PriorLike: TypeAlias = Prior | Run | StalenessDistribution | Timing | ArrayLike | str  # what `as_prior` takes


@functools.lru_cache(16)
def _simulated(text: str, scheme: Scheme, workers: int, local_steps: int) -> StalenessDistribution:
    updates = max(_UPDATES[0], _UPDATES[1] * workers) // scheme.gradients(workers) + 1
    count = import_module(_SIMULATOR).staleness_only
    seen: StalenessDistribution = count(text, scheme, workers, updates, local_steps=local_steps).staleness
    return seen
