"""A forecast as texts: the lines of its table, and facts beside them. The command line and notebooks show both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..formatting import count, number
from .figures import Figures

if TYPE_CHECKING:
    from .forecasts import Forecast
    from .parts import Constant

COLUMNS = ("", "forecast", "formula", "measured")
_SHOWN = {"50%": "median", "90%": "90th percentile", "99%": "99th percentile"}


def lines_of(found: Forecast) -> list[tuple[str, str, str, str]]:
    """For each figure: what it is, as forecast, by a formula, and as measured."""
    formulas = found.known
    law = formulas.staleness
    exact: dict[str, Any] = {
        "mean_staleness": formulas.mean,
        "sd_staleness": formulas.deviation,
        "updates_per_second": formulas.rate,
        **({} if law is None else {share: int(law.quantile(float(share[:-1]) / 100)) for share in _SHOWN}),
    }
    mine, theirs = _values(found.simulated), {} if found.measured is None else _values(found.measured)
    return [
        (label, number(mine[key]), _given(exact.get(key)), _given(theirs.get(key))) for key, label in _labels(found)
    ]


def _labels(found: Forecast) -> list[tuple[str, str]]:
    options = found.options
    per = "round" if options.always_fresh and options.rows_per_version > 1 else "update"
    labels = [
        ("updates", f"{per}s"),
        ("mean_staleness", "staleness τ, mean (updates)"),
        ("sd_staleness", "τ, standard deviation (updates)"),
        *((share, f"τ, {name} (updates)") for share, name in _SHOWN.items()),
        ("largest_staleness", "τ, largest (updates)"),
        ("mean_scale", "scale, mean"),
        ("scale_sd", "scale, standard deviation"),
        ("effective_delay", "effective delay (updates)"),
        ("dropped", "gradients given up (share)"),
        ("updates_per_second", f"{per}s per second"),
        ("seconds_per_epoch", "seconds per epoch"),
        ("bytes_per_update", f"run file, bytes per {per}"),
    ]  # fmt: skip
    rows = [found.simulated, *([] if found.measured is None else [found.measured])]
    return [(key, label) for key, label in labels if any(_values(one)[key] is not None for one in rows)]


def _values(figures: Figures) -> dict[str, Any]:
    variance = figures.scale_variance
    return {
        **vars(figures),
        **{share: figures.percentiles[share] for share in _SHOWN},
        "scale_sd": None if variance is None else variance**0.5,
        "dropped": figures.dropped or None,
    }


def _given(value: Any) -> str:
    return "" if value is None else number(value)


def facts_of(found: Forecast) -> list[tuple[str, str]]:
    """What there is to say of steps, noise and memory; a text is empty where nothing is known."""
    return [
        ("formulas", found.known.why),
        ("largest stable λη₀", "" if found.stable is None else f"{found.stable}"),
        ("curvature L", "" if found.L is None else f"{found.L}"),
        ("largest stable step", _largest(found)),
        ("step size", _step(found)),
        ("noise σ²", "" if found.noise is None else f"{found.noise}; of a minibatch's gradient"),
        ("loss from noise", _noise(found)),
        ("memory", _memory(found)),
        *(("note", note) for note in found.notes),
    ]


def _largest(found: Forecast) -> str:
    step, error = found.largest_step, found.largest_step_error
    if step is None:
        return ""
    return f"η₀ = {number(step)}{f' ± {error:.1g}' if error else ''}, on a quadratic of curvature L"


def _step(found: Forecast) -> str:
    """How the step size stands to the largest one."""
    size = found.options.step_size
    if found.largest_curvature is None:
        return ""
    if found.largest_step is None:
        return f"η₀ = {number(size)} is stable up to the curvature {number(found.largest_curvature)}"
    share = size / found.largest_step
    beyond = ": such a quadratic diverges, and so does a network unless it finds flatter places"
    return f"η₀ = {number(size)} is {number(100 * share, 3)} % of that{beyond if share > 1 else ''}"


def _noise(found: Forecast) -> str:
    if found.noise_loss is None:
        return ""
    return f"{number(found.noise_loss)} above the least, to first order in η₀, when a run has settled"


def _memory(found: Forecast) -> str:
    length = "the parameters" if found.objective.n_params is None else f"{found.objective.n_params:,} parameters"
    simulated = f"simulated at most {count(found.vectors_simulated, 'vector')}"
    if found.vectors is None:
        return f"{simulated} of {length}"
    size = "" if found.memory is None else f", {found.memory / 1e6:,.1f} MB without the data"
    where = "at the server" if found.options.scheme.messages else "on threads"
    return f"{where} {count(found.vectors, 'vector')} of {length}{size}; {simulated}"


def document_of(found: Forecast) -> dict[str, Any]:
    """A forecast as plain data, for JSON; numbers in the units of its attributes."""
    options, stable = found.options, found.stable
    names = ("scheme", "workers", "schedule", "step_size", "batch_size", "optimizer", "momentum", "seed")
    return {
        **{name: getattr(options, name) for name in names},
        "rule": str(found.rule),
        "timing": str(found.timing),
        "problem": found.objective.text or None,
        "n_params": found.objective.n_params,
        "n_samples": found.objective.n_samples,
        "forecast": _document(found.simulated),
        "formula": {
            "mean_staleness": found.known.mean,
            "sd_staleness": found.known.deviation,
            "updates_per_second": found.known.rate,
            "why": found.known.why,
        },
        "measured": None if found.measured is None else _document(found.measured),
        "beside": found.beside or None,
        "stable_step": None
        if stable is None
        else {name: getattr(stable, name) for name in ("step", "error", "exact")},
        **{name: _constant(getattr(found, name)) for name in ("L", "noise")},
        **{
            name: getattr(found, name)
            for name in ("largest_step", "largest_step_error", "largest_curvature", "noise_loss", "vectors", "memory")
        },
        "vectors_simulated": found.vectors_simulated,
        "notes": list(found.notes),
    }


def _document(figures: Figures) -> dict[str, Any]:
    return {name: value for name, value in vars(figures).items() if name != "staleness"}


def _constant(one: Constant | None) -> dict[str, Any] | None:
    if one is None:
        return None
    cost = {} if one.estimate is None else {name: getattr(one.estimate, name) for name in ("gradients", "seconds")}
    return {"value": one.value, "error": one.error, "source": one.source, **cost}
