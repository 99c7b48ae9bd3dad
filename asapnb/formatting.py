"""Numbers and texts as a reader sees them: in tables, figures, reports and on the command line."""

import math
import re
from numbers import Integral

NONE = "–"  # stands for a value that does not exist
_LONGEST = 200  # characters of a value


# What moves the cursor, hides or turns text round on a terminal, and halves of characters
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    r"""A text that is safe to print: control characters are written out.

    >>> print(visible("\x1b[2Jtail"))
    \x1b[2Jtail
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def number(value: float | None, digits: int = 4) -> str:
    """A number with a few significant digits, but all digits before the point; a dash for None.

    >>> [number(value) for value in (None, 12345, 0.123456, 54321.5, 2e-7, 1e9, math.inf)]
    ['–', '12,345', '0.1235', '54,322', '2e-07', '1e+09', '∞']
    """
    if value is None:
        return NONE
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def fixed(value: float | None, pattern: str = ",.0f") -> str:
    """A number in one of Python's formats; a dash for None and for NaN.

    >>> fixed(1234.5), fixed(0.256, ".1%"), fixed(math.nan)
    ('1,234', '25.6%', '–')
    """
    return NONE if value is None or math.isnan(value) else format(value, pattern)


def loss(value: float | None) -> str:
    """A loss: four digits after the point or, where it is large, three in all; NaN and infinity as they are.

    >>> loss(0.25), loss(12345.0), loss(math.nan), loss(None)
    ('0.2500', '1.23e+04', 'nan', '–')
    """
    return NONE if value is None else format(value, ".3g" if abs(value) >= 1000 else ".4f")


def seconds(value: float) -> str:
    """Seconds, without their unit; virtual ones may be of any size.

    >>> seconds(0.0), seconds(1234.5), seconds(2e-5)
    ('0.00', '1,234.50', '2e-05')
    """
    return format(value, ",.2f" if value == 0 or 0.01 <= value < 1e9 else ".4g")


def count(number_of: int, what: str) -> str:
    """A number of things, in words.

    >>> count(1, "run"), count(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{number_of:,} {what}{'s' * (number_of != 1)}"


def measured(value: float | None) -> float | None:
    """None for NaN, which stands for a figure that was not measured."""
    return None if value is None or math.isnan(value) else value


def shortened(value: object) -> str:
    """A value as text, cut where it is long."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
