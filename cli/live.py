"""What is shown during a run: a line for each evaluation and, on a terminal, a line below that is updated."""

import math
import time
from collections import deque
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asapnb.engine import Evaluation, Progress
from asapnb.formatting import NONE, fixed, loss, measured

from .text import row

_COLUMNS = {
    "time": 7,
    "epoch": 7,
    "upd/s": 8,
    "train loss": 12,
    "batch loss": 12,
    "accuracy": 10,
    "mean τ": 8,
    "p99": 6,
    "scale": 10,
}  # 80 in all
_CLOCKS = {  # headings of columns by clock
    "": {},
    "virtual": {"time": "virt. s", "upd/s": "upd/vs"},
    "recorded": {"time": "rec. s", "upd/s": "upd/rs"},
}


class Display:
    """Shows a run: its header when the run begins, then a line for each evaluation. Close it at the end.

    Args:
        console: where it is shown.
        header: makes the header.
        max_seconds: the limit of time of the run, if it has one.
        clock: whose seconds its times are: "" for real ones, "virtual" or "recorded".
    """

    def __init__(
        self, console: Console, header: Callable[[], Text], max_seconds: float | None = None, clock: str = ""
    ) -> None:
        self._console, self._header, self._max_seconds, self._clock = console, header, max_seconds, clock
        self._started: tuple[float, float] | None = None  # real time of the first report, and the share done then
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._waiting: list[Evaluation] = []
        self._reports: deque[Progress] = deque()  # since the last evaluation shown
        self._before: Evaluation | None = None
        self._begun = False

    def close(self) -> None:
        """Remove the moving line."""
        if self._live:
            self._live.stop()

    def on_eval(self, evaluation: Evaluation) -> None:
        """Take an evaluation; its line is printed with the next report, which has the staleness and the scales."""
        self._begin()
        self._waiting.append(evaluation)

    def progress(self, now: Progress) -> None:
        """Print the lines of waiting evaluations and, on a terminal, the state of the run."""
        if not self._begun:  # a resumed run: show the evaluation before
            self.on_eval(now.evaluation)
        self._reports.append(now)
        for evaluation in self._waiting:
            self._console.print(self._line(evaluation, now))
            self._before = evaluation
        self._waiting = []
        if self._live:
            self._live.update(self._standing(now), refresh=True)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._console.print(self._header(), "", sep="\n")
        heads = _CLOCKS[self._clock]
        self._console.print(row((heads.get(name, name) for name in _COLUMNS), _COLUMNS.values()), style="dim")
        if self._live:
            self._live.start()

    def _line(self, evaluation: Evaluation, now: Progress) -> str:
        """The line of an evaluation, with the figures of when its version was made: evaluations may lag behind."""
        while len(self._reports) > 1 and self._reports[0].updates < evaluation.step:
            self._reports.popleft()
        epoch = evaluation.step * now.epochs / now.total_updates
        return _cells(
            evaluation.t, epoch, self._rate(evaluation), evaluation, self._reports[0], known=evaluation.step > 0
        )

    def _rate(self, evaluation: Evaluation) -> float | None:
        """Updates per second since the evaluation before."""
        before = self._before
        if before is None or evaluation.t <= before.t:
            return None
        return (evaluation.step - before.step) / (evaluation.t - before.t)

    def _standing(self, now: Progress) -> RenderableType:
        done = now.updates / now.total_updates
        if self._max_seconds is not None:
            done = min(1.0, max(done, now.seconds / self._max_seconds))
        whole = self._whole(now, done)
        left = f", {_clock(whole * (1 - done))} left" if whole is not None else ""
        rate = now.updates / now.seconds if now.seconds > 0 else None
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            Text(f"{done:7.0%}"),
            ProgressBar(total=1.0, completed=done, width=36, complete_style="cyan"),
            Text(f"epoch {now.epoch:.1f} of {now.epochs:.4g}{left}"),
        )
        return Group(Text(_cells(now.seconds, now.epoch, rate, now.evaluation, now), "bold"), bar)

    def _whole(self, now: Progress, done: float) -> float | None:
        """An estimate of the real seconds that the whole run takes; None if there is none yet."""
        if not self._clock:
            return now.seconds / done if done else None
        if self._started is None:
            self._started = time.perf_counter(), done
        begun, before = self._started
        return (time.perf_counter() - begun) / (done - before) if done > before else None


def _cells(
    t: float, epoch: float, rate: float | None, evaluation: Evaluation, now: Progress, *, known: bool = True
) -> str:
    """One line of the table; unless `known`, with dashes for minibatches, staleness and scales."""
    low, high = now.scale_range if known else (math.nan, math.nan)
    scale = "–".join(f"{value:.2f}" if value < 10 else f"{value:.3g}" for value in sorted({low, high}))
    cells = (
        _time(t),
        f"{epoch:.2f}",
        fixed(rate),
        loss(evaluation.train_loss),
        loss(measured(now.batch_loss) if known else None),
        fixed(evaluation.test_accuracy, ".1%"),
        fixed(now.mean_staleness if known else None, ".2f"),
        fixed(now.staleness_p99 if known else None),
        NONE if math.isnan(low) else scale,
    )
    return row(cells, _COLUMNS.values())


def _time(t: float) -> str:
    """A time in at most seven characters."""
    if t < 1000:
        return f"{t:.2g}" if 0 < t < 0.005 else f"{t:.2f}"
    return f"{t:.0f}" if t < 9.9e6 else f"{t:.2g}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
