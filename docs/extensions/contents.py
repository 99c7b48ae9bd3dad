"""The lists of links in an index page are its table of contents: a page is added to the site by one line.

A list item or a row of a table that begins with a link to a page, `- [Title](page.md): what it tells`, puts this page
into the sidebar under this title. The heading above becomes the caption of a group. On GitHub they are just links.
"""

import re

PAGE = re.compile(r"^(?:- |\| )\[(?P<title>[^\]]+)\]\((?P<page>[^):#]+\.(?:md|ipynb))\)", re.MULTILINE)
INDEXES = ("index", "experiments/README")


def groups(text):
    """The heading of each group of links in an index page, and its (title, page) pairs."""
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        heading = re.match(r"## (.*)", part)
        if pages := [(link["title"].replace("`", ""), link["page"]) for link in PAGE.finditer(part)]:
            yield heading[1] if heading else "", pages


def add_contents(app, docname, source):
    """Append to an index page the toctrees of its lists."""
    if docname.endswith(INDEXES):
        for heading, pages in groups(source[0]):
            lines = [":hidden:", *([f":caption: {heading}"] if heading else []), ""]
            lines += [f"{title} <{page}>" for title, page in pages]
            source[0] += "\n\n```{toctree}\n" + "\n".join(lines) + "\n```\n"


def setup(app):
    """Connect to Sphinx."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True}
