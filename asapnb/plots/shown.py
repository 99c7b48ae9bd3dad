"""The figures of asapnb, which a notebook shows although pyplot does not know them."""

import io

from matplotlib.figure import Figure

_DPI = 90  # a notebook keeps what it shows


class Shown(Figure):
    """A figure that a notebook shows when it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=_DPI)
        return content.getvalue()
