"""The API reference: a block of names becomes the entries of these names, made from their docstrings.

    ```{names} asapnb.theory
    stable_step
    ```

gives the entries of these names; without names, of all that `asapnb.theory.__all__` lists and no other page has.
Signatures are taken from the source, so that a type is called what it is called there. Docstrings are plain text with
Google's sections and Markdown's `code`.
"""

import ast
import inspect
import re
import textwrap
from functools import cache
from importlib import import_module
from pathlib import Path

from sphinx.util import logging

import asapnb

BLOCK = re.compile(r"^```\{names\} (?P<module>[\w.]+)\n(?P<names>.*?)^```$", re.MULTILINE | re.DOTALL)
ARGUMENTS = {*inspect.signature(asapnb.train).parameters, *inspect.signature(asapnb.simulate).parameters}
PAGES = Path(__file__).parents[1] / "reference" / "api"
ROOT = Path(asapnb.__file__).parent
MODULES = (
    "data",
    "errors",
    "forecasting",
    "report",
    "schemes",
    "simulator",
    "sklearn",
    "testing",
)  # public ones that `import asapnb as ab` does not offer


def public():
    """Every public name: those of asapnb, and those of its public modules that are not also there."""
    modules = [name for name in asapnb.__all__ if inspect.ismodule(getattr(asapnb, name))]
    names = {f"asapnb.{name}" for name in asapnb.__all__ if name not in modules}
    for module in (*modules, *MODULES):
        names |= {home(f"asapnb.{module}", name) for name in offered(f"asapnb.{module}")}
    return names


def offered(module):
    """The public names of a module; for one without `__all__`, what it defines."""
    module = import_module(module)
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def home(module, name):
    """Where a name is documented: in asapnb if it is there, or else in its module."""
    top = getattr(asapnb, name, None) if name in asapnb.__all__ else None
    return f"asapnb.{name}" if top is getattr(import_module(module), name) else f"{module}.{name}"


@cache
def listed():
    """The full names that blocks of any page list, and so are left out where all names of a module stand."""
    blocks = [block for page in PAGES.glob("*.md") for block in BLOCK.finditer(page.read_text(encoding="utf-8"))]
    return {home(block["module"], name) for block in blocks for name in block["names"].split()}


def entries(module, names):
    """The full names that a block stands for."""
    rest = [full for name in offered(module) if (full := home(module, name)) not in listed()]
    return [home(module, name) for name in names.split()] or rest


def directive(full):
    """The autodoc directive for a name."""
    module, _, name = full.rpartition(".")
    thing = getattr(import_module(module), name)
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
        return f".. {kind}:: {full}\n" + ("   :members:\n" if kind == "autoclass" else "")
    if inspect.isfunction(thing):
        return f".. autofunction:: {full}\n"
    about = comment(module, name) or f"The activation `{thing.formula}`."
    return f".. py:data:: {full}\n\n   {restructured(about)}\n"


def comment(module, name):
    """What the comment above a constant, or behind it, tells."""
    folder = Path(import_module(module).__file__).parent
    for file in sorted(folder.glob("*.py")):
        if found := re.search(
            rf"((?:^# .*\n)*)^{name}(?:: [^=\n]+)? = .*?(?:  # (.*))?$", file.read_text(), re.MULTILINE
        ):
            return found[2] or " ".join(re.findall(r"# (.*)", found[1]))
    return ""


def skip(app, what, name, thing, skipped, options):
    """Leave out methods that scikit-learn adds to estimators, and fields of tuples, which their class describes."""
    field = (getattr(thing, "__doc__", None) or "").startswith("Alias for field number")
    return True if field or name.endswith("_request") else None


def expand(app, docname, source):
    """Replace the blocks of names of a page."""

    def entry(block):
        lines = "\n".join(map(directive, entries(block["module"], block["names"])))
        return f"```{{eval-rst}}\n{lines}\n```"

    source[0] = BLOCK.sub(entry, source[0])


@cache
def parsed(thing):
    """The syntax tree of a function or class."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def annotations(cls):
    """What the source says of the types of a class's fields."""
    found = {}
    for base in reversed(cls.__mro__[:-1]):
        if base.__module__.startswith("asapnb"):
            found |= {
                line.target.id: ast.unparse(line.annotation)
                for line in parsed(base).body
                if isinstance(line, ast.AnnAssign)
            }
    return found


def is_written(function):
    """Whether a function stands in the source; those of data classes are made."""
    return inspect.isfunction(function) and function.__code__.co_filename.startswith(str(ROOT))


def signature(app, what, name, thing, options, arguments, returns):
    """The signature of a function or class, in the words of the source."""
    if what == "exception":
        return None
    if what == "class" and not is_written(thing.__init__):
        types = annotations(thing)
        parameters = [
            parameter.replace(annotation=inspect.Parameter.empty if types.get(key) is None else Raw(types[key]))
            for key, parameter in inspect.signature(thing).parameters.items()
        ]
        return str(inspect.Signature(parameters)), None
    function = inspect.unwrap(thing.__init__ if what == "class" else getattr(thing, "__func__", thing))
    if not is_written(function):
        return None
    tree = parsed(function)
    first = what in ("class", "method") and not isinstance(inspect.getattr_static(thing, "__self__", None), type)
    if first or "composite" in map(ast.unparse, tree.decorator_list):
        del (tree.args.posonlyargs or tree.args.args)[:1]
    return f"({ast.unparse(tree.args)})", tree.returns and what != "class" and ast.unparse(tree.returns)


class Raw:
    """An annotation that is shown as it is written."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


EMPHASIS = re.compile(r"((?<![\w*])(\*\*?)\w(?:[^*\n]*[\w.])?\2(?![\w*]))")
SPECIAL = re.compile(
    r"(?<=\w)_(?!\w)|[|@\\]|\*(?=\S)|(?<=\S)\*|(?<=\S )\*"
)  # what reStructuredText would read as markup


def restructured(text):
    """Plain text with Markdown's `code`, *emphasis* and lists as reStructuredText."""
    parts = re.split(r"(`[^`]+`)", text.replace("``", "`"))
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = rf"\ :name:`{' '.join(part[1:-1].split())}`\ "
        else:
            plain = EMPHASIS.split(part)
            plain[::3] = (SPECIAL.sub(r"\\\g<0>", one) for one in plain[::3])
            del plain[2::3]
            parts[i] = "".join(plain)
    return "".join(parts)


SEVERAL = re.compile(r"^ *Attributes:\n(?:.*\n)*? +\w+(?:, \w+)+: ", re.MULTILINE)  # all but one become types


def docstring(app, what, name, thing, options, lines):
    """Translate a docstring, examples left alone."""
    if SEVERAL.search("\n".join(lines)):
        logging.getLogger(__name__).warning("%s: a line of its attributes has several names", name)
    parts = re.split(r"^( *>>> (?:.*\S.*(?:\n|$))+)", "\n".join(lines), flags=re.MULTILINE)
    parts[::2] = map(restructured, parts[::2])
    lines[:] = "".join(parts).split("\n")
    if what == "property":
        lines[0] = lines[0].replace(": ", " – ", 1)  # or napoleon takes what stands before it for the type


def name_role(role, raw, text, line, inliner, options=None, content=()):
    """Code that leads to its entry, where there is one."""
    from docutils import nodes
    from sphinx.addnodes import pending_xref

    code = nodes.literal(raw, text, classes=["code"])
    target = text.removesuffix("()").removeprefix("ab.").removeprefix("asapnb.")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", target) or target in ARGUMENTS:
        return [code], []
    return [pending_xref(raw, code, refdomain="", reftype="name", reftarget=target, refwarn=False)], []


def resolve(app, env, node, content):
    """Link a name in a text to its entry, and a type in a signature, if asapnb offers it at the top."""
    from sphinx.util.nodes import make_refnode

    target, objects = node["reftarget"], env.get_domain("py").objects
    if node["reftype"] == "name":
        ends = [full for full in objects if f".{full}".endswith(f".{target}") and re.match("[A-Z]|.*[.]", target)]
    elif node.get("refdomain") == "py":
        ends = []
    else:
        return None
    full = f"asapnb.{target}" if f"asapnb.{target}" in objects else ends[0] if len(ends) == 1 else None
    if full is None:
        return content
    found = objects[full]
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, full)


def setup(app):
    """Connect to Sphinx; docstrings are translated before napoleon reads their sections."""
    app.connect("source-read", expand)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("missing-reference", resolve)
    app.add_role("name", name_role)
    return {"parallel_read_safe": True}
