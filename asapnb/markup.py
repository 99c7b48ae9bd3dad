"""HTML for notebooks: small pieces that stand by themselves, in the colours of the page around them."""

import html
from collections.abc import Iterable, Sequence

from .formatting import visible

_MOST_ROWS = 60  # of a table; more are left out in the middle
_NAME = "text-align:left;opacity:.7;padding:0 1.2em 0 0"
_CELL = "text-align:{};padding:0 1.2em 0 0"
_WIDE, _HIGH = 34, 48  # of a bar, in pixels, with the room beside it


def escaped(text: object) -> str:
    """A text that a browser shows as it is.

    >>> escaped("<b>\\x1b")
    '&lt;b&gt;\\\\x1b'
    """
    return html.escape(visible(str(text)))


def block(*parts: str, title: str = "") -> str:
    """Pieces below one another, under a title."""
    head = f"<div style='font-weight:bold'>{escaped(title)}</div>" if title else ""
    return f"<div style='line-height:1.5;overflow-x:auto'>{head}{''.join(parts)}</div>"


def line(text: str) -> str:
    """A line of text."""
    return f"<div>{escaped(text)}</div>"


def pairs(values: Iterable[tuple[str, str]]) -> str:
    """Names and values, one pair a row, without those whose value is empty.

    >>> "rule" in pairs([("rule", "tail"), ("note", "")]), "note" in pairs([("note", "")])
    (True, False)
    """
    rows = [
        f"<tr style='background:none'><th scope='row' style='{_NAME}'>{escaped(name)}</th>"
        f"<td style='{_CELL.format('left')}'>{escaped(value)}</td></tr>"
        for name, value in values
        if value
    ]
    return f"<table style='border:none'>{''.join(rows)}</table>" if rows else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """A table of texts; of many rows the first and the last.

    Args:
        columns: their names.
        rows: of one text for each column.
        right: which columns are flush right; by default none.
    """
    sides = ["right" if flush else "left" for flush in (*right, *[False] * (len(columns) - len(right)))]
    shown = list(rows)
    if left_out := max(0, len(rows) - _MOST_ROWS):
        shown = [*rows[: _MOST_ROWS // 2], *rows[-_MOST_ROWS // 2 :]]
    body = [_row("td", row, sides) for row in shown]
    if left_out:
        body.insert(_MOST_ROWS // 2, f"<tr><td colspan='{len(columns)}'>… {left_out:,} rows …</td></tr>")
    head = _row("th", columns, sides)
    return f"<table style='border:none'><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    """A row of a table."""
    scope, whole = (" scope='col'", ";white-space:nowrap") if tag == "th" else ("", "")
    made = (
        f"<{tag}{scope} style='{_CELL.format(side)}{whole}'>{escaped(cell)}</{tag}>"
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr style='background:none'>{''.join(made)}</tr>"


def bars(labels: Sequence[str], shares: Sequence[float], title: str) -> str:
    """A drawing of shares: a bar for each label, as high as its share, which stands above it.

    >>> bars(["0", "1–2"], [0.75, 0.25], "staleness").count("<rect")
    2
    """
    top, width = max(shares, default=0.0), _WIDE * len(labels)
    drawn = []
    for place, (label, share) in enumerate(zip(labels, shares, strict=True)):
        middle, high = _WIDE * place + _WIDE / 2, _HIGH * share / top if top else 0.0
        said = f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}"
        drawn.append(
            f"<rect x='{middle - 13:g}' y='{_HIGH + 12 - high:.1f}' width='26' height='{high:.1f}' opacity='.55'>"
            f"<title>{escaped(label)}: {share:.2%}</title></rect>"
            f"<text x='{middle:g}' y='{_HIGH + 9 - high:.1f}'>{said}</text>"
            f"<text x='{middle:g}' y='{_HIGH + 24}'>{escaped(label)}</text>"
        )
    return (
        f"<div style='opacity:.7'>{escaped(title)}</div>"
        f"<svg role='img' aria-label='{escaped(title)}' width='{width}' "
        f"height='{_HIGH + 28}' fill='currentColor' font-size='9' text-anchor='middle'>{''.join(drawn)}</svg>"
    )
