"""What is shown during a run: a line for each evaluation and, on a terminal, a line below that is updated."""

from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asapnb.engine import Evaluation, Progress
from asapnb.training.following import COLUMNS, Following, Standing, row


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
        self._console, self._header = console, header
        self._following = Following(max_seconds, clock)
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def close(self) -> None:
        """Remove the moving line."""
        if self._live:
            self._live.stop()

    def on_eval(self, evaluation: Evaluation) -> None:
        """Take an evaluation; its line is printed with the next report, which has the staleness and the scales."""
        begun = self._following.begun
        self._following.evaluated(evaluation)  # which says what there is to measure
        if not begun:
            self._begin()

    def progress(self, now: Progress) -> None:
        """Print the lines of waiting evaluations and, on a terminal, the state of the run."""
        if not self._following.begun:  # a resumed run: show the evaluation before
            self.on_eval(now.evaluation)
        for cells in self._following.reported(now):
            self._console.print(row(cells, COLUMNS.values()))
        if self._live:
            self._live.update(_moving(self._following.standing(now)), refresh=True)

    def _begin(self) -> None:
        self._console.print(self._header(), "", sep="\n")
        self._console.print(row(self._following.heads, COLUMNS.values()), style="dim")
        if self._live:
            self._live.start()


def _moving(now: Standing) -> RenderableType:
    """How far the run is: its figures, and a bar."""
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text(f"{now.done:7.0%}"),
        ProgressBar(total=1.0, completed=now.done, width=36, complete_style="cyan"),
        Text(now.text),
    )
    return Group(Text(row(now.cells, COLUMNS.values()), "bold"), bar)
