"""The figures of `asapnb.plots` as pictures within a page."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import plots
from ..analysis import Record, Target, grouped, varying
from ..errors import AsapnbError
from ..plots.groups import keys_of
from ..plots.regions import counted
from ..plots.style import FORMATS, LOOKS, Figure

_LARGE = 150_000  # bytes of SVG; a larger figure becomes a PNG


@dataclass(frozen=True)
class Picture:
    """A figure: its title, its content as a data URL, its width and height in pixels; or why there is none."""

    title: str
    source: str = ""
    size: tuple[int, int] = (0, 0)
    why_not: str = ""


def pictures(
    records: Sequence[Record], targets: Sequence[Target], baseline: Mapping[str, Any] | None
) -> list[Picture]:
    """The figures that suit these runs; those that need several rules, targets or step sizes only if there are such.

    Args:
        records: the runs.
        targets: the losses to reach.
        baseline: values of keys that make a run one of the baseline of speed-ups; None for the constant rule.
    """
    vary = varying(records)
    most = max(int(record.run.attributes["workers"]) for record in records)
    with_most = [record for record in records if record.run.attributes["workers"] == most]
    drawn: list[tuple[str, Callable[[], Figure]]] = [
        ("Staleness of the updates, and models fitted to it", lambda: plots.staleness(records)),
        (f"Scale of a step by its staleness, {most:,} workers", lambda: plots.scale(with_most)),
    ]
    if "workers" in vary:
        drawn.append(("Mean scale by number of workers", lambda: plots.magnitude(records)))
    if "step_size" in vary:
        for bar in targets or (None,):
            drawn.append((f"Share of runs that {counted(bar)}", partial(plots.stability, records, target=bar)))
    by, over = _few(records)
    for target in targets:
        if len(records) > 1:
            reached = partial(plots.survival, records, target, by, x="updates")
            drawn.append((f"Share of runs that reached {target}, by updates{over}", reached))
        if baseline or "rule" in vary:
            drawn.append((f"Speed-up to {target}{over}", partial(plots.speed_up, records, target, baseline, by)))
    return [_picture(title, draw) for title, draw in drawn]


def _few(records: Sequence[Record]) -> tuple[list[str], str]:
    """Keys that make no more groups than a figure can tell apart; and the others in words.

    All that vary but the seed, as far as they fit: those of many values are left out first, the rule last.
    """
    by, left_out = keys_of(records, None), list[str]()
    while len(by) > 1 and len(grouped(records, by)) > LOOKS:
        left_out.append(max((key for key in by if key != "rule"), key=lambda key: len(grouped(records, [key]))))
        by.remove(left_out[-1])
    return by, f", over all {' and '.join(key.replace('_', ' ') for key in left_out)}s" if left_out else ""


def _picture(title: str, draw: Callable[[], Figure]) -> Picture:
    try:
        return picture(title, draw())
    except AsapnbError as error:
        return Picture(title, why_not=str(error))


def picture(title: str, figure: Figure) -> Picture:
    """A figure as a picture: SVG, or PNG if that were large."""
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    kind, content = "svg+xml", _saved(figure, format="svg", metadata=FORMATS["svg"])
    if len(content) > _LARGE:
        kind, content = "png", _saved(figure, format="png", dpi=192)
    return Picture(title, f"data:image/{kind};base64,{base64.b64encode(content).decode()}", (width, height))


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with plots.style():
        figure.savefig(buffer, **options)
    return buffer.getvalue()
