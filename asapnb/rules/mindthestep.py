"""MindTheStep: scales that undo a model of the staleness, so that on average steps have a chosen momentum."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import choice, integer, real
from ..staleness import StalenessDistribution, fit
from .framework import Rule, with_mean_one
from .refresh import Every, Once, checked_refresh
from .registry import register

Array = NDArray[np.float64]
_PARAMETERS = {"geometric": ("p",), "poisson": ("mean",), "cmp": ("rate", "dispersion")}
_TINY = 1e-300  # for the logarithm of 0
_LARGEST = 700.0  # logarithm of a float64


def _mindthestep(
    staleness: StalenessDistribution,
    workers: int,
    model: str,
    momentum: float = 0.0,
    clip: float | None = 5.0,
    drop_after: int | None = 150,
    **given: float,
) -> Array:
    tau = np.arange(float(len(staleness)))
    kept = slice(None if drop_after is None else drop_after + 1)
    logs = _log_scales(tau, model, given or _fitted(staleness, model), momentum)[kept]
    log_clip = _LARGEST if clip is None else math.log(clip)
    scales = np.zeros(len(tau))
    scales[kept] = np.exp(np.minimum(logs + _log_factor(logs, staleness.pmf[kept], log_clip), log_clip))
    return with_mean_one(scales, staleness)


def _log_scales(tau: Array, model: str, parameters: dict[str, float], momentum: float) -> Array:
    """Logarithms of the scales, up to a constant."""
    if model == "geometric":  # (momentum / (1 - p))^tau
        return tau * (math.log(momentum) - math.log(max(1.0 - parameters["p"], _TINY)))
    rate, dispersion = parameters.get("rate", parameters.get("mean", 0.0)), parameters.get("dispersion", 1.0)
    return dispersion * np.cumsum(np.log(np.maximum(tau, 1.0))) - tau * math.log(max(rate, _TINY))


def _fitted(staleness: StalenessDistribution, model: str) -> dict[str, float]:
    """The parameters of greatest likelihood."""
    if model == "cmp":
        return dict(fit(staleness.pmf, model).parameters)
    mean = staleness.mean()
    return {"p": 1.0 / (1.0 + mean)} if model == "geometric" else {"mean": mean}


def _log_factor(logs: Array, pmf: Array, log_clip: float) -> float:
    """log c for which the mean of min(c exp(logs), clip) is 1; infinite where `clip` is too low for that."""
    seen = np.flatnonzero(pmf)
    largest_first = seen[np.argsort(-logs[seen])]
    logs, pmf = logs[largest_first], pmf[largest_first]
    room = 1.0 - math.exp(log_clip) * (np.cumsum(pmf) - pmf)  # if those before are clipped, and no others
    rest = np.logaddexp.accumulate((np.log(pmf) + logs)[::-1])[::-1]
    log_c = np.log(np.maximum(room, _TINY)) - rest
    fits = (room > 0) & (log_c + logs <= log_clip)
    return float(log_c[fits.argmax()]) if fits.any() else math.inf


@register("mindthestep(model='geometric', momentum=0.9)", "C3", "Bäckström et al. 2019, arXiv 1911.03444")
def mindthestep(
    model: str = "poisson",
    momentum: float | None = None,
    p: float | None = None,
    mean: float | None = None,
    rate: float | None = None,
    dispersion: float | None = None,
    clip: float | None = 5.0,
    drop_after: int | None = 150,
    refresh: Once | Every | None = None,
) -> Rule:
    """The inverse of a staleness model: C^-tau/p, mean^-tau tau!, or rate^-tau (tau!)^dispersion; mean scale 1.

    The first formula is that of the model "geometric", with C = (1 - p)/momentum. The others are those of "poisson"
    and "cmp". Scales grow with tau where the model says that such a staleness is rare.

    Under geometric staleness, constant steps act on average like gradient descent with momentum 1 - p. The scales of
    the geometric model turn this into `momentum`. With the other models, every staleness contributes the same.

    The scales are clipped, and scaled so that their mean is 1 under the staleness seen. If more than 1 - 1/clip of
    the updates are dropped, the other scales exceed `clip`.

    Args:
        model: "geometric", "poisson" or "cmp".
        momentum: the momentum to reach, in (0, 1]. The geometric model requires it, and no other model takes it.
        p: the parameter of the geometric model, in (0, 1]. If none of a model's parameters is given, they are fitted
            to the staleness seen, by maximum likelihood. For "cmp" a fit takes some milliseconds at every refresh.
        mean: the mean of the Poisson model, in updates; > 0.
        rate: the rate of the cmp model; > 0.
        dispersion: the dispersion of the cmp model; >= 0.
        clip: the largest scale; >= 1. None for no limit.
        drop_after: updates staler than this are dropped; >= 0. None to drop none.
        refresh: when a new table is made; None for every(200, half_life=2000).

    Source: Bäckström, Papatriantafilou, Tsigas: MindTheStep-AsyncPSGD, 2019, arXiv 1911.03444.

    >>> seen = StalenessDistribution.from_counts([4, 2, 1, 1])
    >>> mindthestep("geometric", momentum=0.25, p=0.5)(seen, workers=2).round(3)
    array([1.488, 0.744, 0.372, 0.186])
    """
    parameters: dict[str, Any] = {"model": choice("model of staleness", model, _PARAMETERS)}
    if model == "geometric":
        parameters["momentum"] = real("momentum", momentum, 0, 1, above=True)
    elif momentum is not None:
        raise UsageError(f"momentum is {momentum!r}: only model='geometric' aims at a momentum")
    of_models = {"p": p, "mean": mean, "rate": rate, "dispersion": dispersion}
    given = {name: value for name, value in of_models.items() if value is not None}
    if given and set(given) != set(_PARAMETERS[model]):
        said = ", ".join(f"{name}={value!r}" for name, value in given.items())
        wanted = " and ".join(_PARAMETERS[model])
        raise UsageError(f"parameters {said}: model={model!r} has {wanted}, given or (with none of them) fitted")
    for name, value in given.items():
        parameters[name] = real(name, value, 0, 1.0 if name == "p" else math.inf, above=name != "dispersion")
    if clip != 5.0:
        parameters["clip"] = None if clip is None else real("clip", clip, 1)
    if drop_after != 150:
        parameters["drop_after"] = None if drop_after is None else integer("drop_after", drop_after)
    return Rule("mindthestep", _mindthestep, parameters, checked_refresh(refresh))
