"""Formulas as MathML, which browsers draw themselves: no JavaScript and no network.

Their font is TeX Gyre Termes Math, kept in docs/static. Without a font made for formulas, brackets and roots do not
grow.
"""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

CONVERTER = LatexToMathML(fancy_error=False)


def markup(node, display):
    """The MathML of a formula; a formula that cannot be read is a warning, which ends the build."""
    try:
        return CONVERTER.convert_with_local_state(node.astext(), displaystyle=display)
    except LatexError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
        return node.astext()


def inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(markup(node, display=False))
    raise nodes.SkipNode


def displayed(translator, node):
    """Write a formula of its own, which scrolls within itself where it is wider than the page."""
    translator.body.append(f'<div class="formula">{markup(node, display=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
