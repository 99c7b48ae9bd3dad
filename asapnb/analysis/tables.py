"""A table of results, as aligned text, CSV, LaTeX or Markdown."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..extras import optional
from ..formatting import number
from ..markup import block, line
from ..markup import table as table_of
from .names import notes as marks_said
from .names import plainly

Cell = str | int | float | None
FORMATS = ("text", "csv", "latex", "markdown")
NEVER = "not reached"  # in the place of a time
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "–": "--", "η": r"$\eta$",
    "Σ": r"$\Sigma$", "τ": r"$\tau$", "≤": r"$\leq$", "≥": r"$\geq$", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Table:
    """A table of texts and numbers under named columns.

    Numbers are kept in full. `csv` writes them in full, and the other formats with four digits.

    Attributes:
        title: what the table shows.
        columns: the names of the columns.
        rows: tuples of one cell for each column: a text, a number, or None for an empty cell.
        notes: lines below the table.

    >>> print(Table("Times", ("rule", "updates"), (("tail", 1234.56), ("constant", None)), ("seed 0",)).text())
    Times
    rule      updates
    tail        1,235
    constant        –
    seed 0
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The table as plain text: aligned columns, numbers flush right, notes below."""
        cells = [self.columns, *([shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        pads = [(str.rjust if right else str.ljust, width) for right, width in zip(self.numeric, widths, strict=True)]
        lines = ["  ".join(pad(c, width) for c, (pad, width) in zip(row, pads, strict=True)) for row in cells]
        return "\n".join([self.title, *(line.rstrip() for line in lines), *self.notes])

    def csv(self) -> str:
        """The table as comma-separated values: a line of names, then the rows. There is no title, and no notes.

        None becomes an empty cell. A time that was not reached becomes inf, so columns of times hold numbers only.
        """
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self._data()])
        return out.getvalue().rstrip("\n")

    def to_pandas(self) -> Any:
        """The table as a pandas.DataFrame, with the cells of `csv`. MissingExtraError if pandas is not installed."""
        return optional("pandas", "data", "to_pandas").DataFrame(self._data(), columns=list(self.columns))

    def _data(self) -> list[list[Cell]]:
        return [[math.inf if cell == NEVER else cell for cell in row] for row in self.rows]

    def markdown(self) -> str:
        """The table in Markdown, as GitHub renders it."""
        marks = ["--:" if right else "---" for right in self.numeric]
        rows = [self.columns, *([shown(cell) for cell in row] for row in self.rows)]
        head, *body = (map(_marked, row) for row in rows)
        lines = [f"| {' | '.join(row)} |" for row in (head, marks, *body)]
        return "\n\n".join([f"**{self.title}**", "\n".join(lines), *self.notes])

    def latex(self) -> str:
        """The table as a LaTeX tabular environment that needs booktabs. Title and notes are comments."""
        head, *body = [
            " & ".join(map(_escaped, row)) + r" \\"
            for row in (self.columns, *([shown(cell) for cell in row] for row in self.rows))
        ]
        letters = "".join("r" if right else "l" for right in self.numeric)
        lines = [rf"\begin{{tabular}}{{{letters}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        head, *notes = (f"% {' '.join(text.split())}" for text in (self.title, *self.notes))
        return "\n".join([head, *lines, r"\end{tabular}", *notes])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [[shown(cell) for cell in row] for row in self.rows]
        return block(table_of(self.columns, rows, self.numeric), *map(line, self.notes), title=self.title)

    def render(self, form: str = "text") -> str:
        """The table in a format: "text", "csv", "latex" or "markdown"."""
        makers: dict[str, Callable[[], str]] = {name: getattr(self, name) for name in FORMATS}
        return makers[form]()

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it holds numbers."""
        return [any(isinstance(row[i], int | float) for row in self.rows) for i in range(len(self.columns))]


def table(
    title: str, by: Sequence[str], rows: Sequence[tuple[Sequence[Any], Mapping[str, Cell]]], notes: Iterable[str] = ()
) -> Table:
    """A table of groups of runs: their values of the keys `by`, then their named figures, the same names in each row.

    A key with the name of a figure is marked as "set".

    >>> table("Runs", ["rule", "updates"], [(("tail", 50), {"updates": 48, "epochs": 2.0})]).columns
    ('rule', 'updates set', 'updates', 'epochs')
    """
    names = list(rows[0][1]) if rows else []
    columns = [plainly(column) for column in zip(*(values for values, _ in rows), strict=True)]
    keys = [f"{key} set" if key in names else key for key in by]
    cells = tuple((*(column[i] for column in columns), *figures.values()) for i, (_, figures) in enumerate(rows))
    marks = (cell for column in columns for cell in column)
    return Table(title, (*keys, *names), cells, (*notes, *marks_said(marks)))


def shown(cell: Cell) -> str:
    """A cell for a reader.

    >>> [shown(cell) for cell in (None, "tail", 12345, 0.123456, 54321.0, 2e-7, float("inf"))]
    ['–', 'tail', '12,345', '0.1235', '54,321', '2e-07', 'not finite']
    """
    if isinstance(cell, str | bool):
        return str(cell)
    if isinstance(cell, float) and not math.isfinite(cell):
        return "not finite"
    return number(cell)


def _escaped(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found[0]], " ".join(text.split()))


def _marked(text: str) -> str:
    """A text in a cell of Markdown, as it is.

    >>> print(_marked("a|b *c* step_size"))
    a\\|b \\*c\\* step_size
    """
    return re.sub(r"([\\`*<|]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
