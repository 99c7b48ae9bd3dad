"""The gallery of experiments: each row of the table in experiments/README.md becomes a card with picture and answer.

All of a card is taken from the first lines of the experiment's page: its question, its answer and its picture.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| \[(?P<title>[^\]]+)\]\((?P<folder>[\w-]+)/README\.md\) \|.*\n", re.MULTILINE)
PART = r"\*\*{}\.\*\* (.*?)\n\n"
PICTURE = re.compile(r"!\[(?P<alt>[^\]]+)\]\((?P<file>[^)]+)\)")


def card(row):
    """The card of an experiment."""
    folder = row["folder"]
    text = (ROOT / "experiments" / folder / "README.md").read_text(encoding="utf-8")
    question, answer = (re.search(PART.format(name), text, re.DOTALL)[1] for name in ("Question", "Answer"))
    picture = PICTURE.search(text)
    words = re.sub(
        r"\]\((?!https?:)", f"]({folder}/", f"**{' '.join(question.split())}**\n\n{' '.join(answer.split())}"
    )
    return (
        f":::{{grid-item-card}} [{row['title']}]({folder}/README.md)\n"
        f":img-top: {folder}/{picture['file']}\n:img-alt: {' '.join(picture['alt'].split())}\n\n{words}\n:::\n"
    )


def expand(app, docname, source):
    """Replace the table by cards."""
    if docname == "experiments/README":
        rows = list(ROW.finditer(source[0]))
        begin = source[0].rindex("\n\n", 0, rows[0].start()) + 2
        cards = "".join(map(card, rows))
        source[0] = (
            f"{source[0][:begin]}::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{cards}::::\n\n{source[0][rows[-1].end() :]}"
        )


def setup(app):
    """Connect to Sphinx, after the table of contents has been read from the rows."""
    app.setup_extension("sphinx_design")
    app.connect("source-read", expand, priority=600)
    return {"parallel_read_safe": True}
