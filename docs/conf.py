"""The documentation site: `make docs` builds it in build/site, without a network.

The source folder is the repository, so that a relative link leads to the same file here and on GitHub.
"""

import sys
from pathlib import Path

import asapnb

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "asapnb"
author = "the asapnb developers"
version = release = asapnb.__version__
html_title = f"asapnb {release}"

root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "docs/**.ipynb",
    "experiments/**.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
]
exclude_patterns = ["**/.ipynb_checkpoints", "build", ".venv"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "contents",
    "mathml",
    "names",
    "interfaces",
    "gallery",
]
nb_execution_mode = "off"  # tests/test_notebooks.py executes them
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

suppress_warnings = ["ref.python"]  # a short name that several entries end in
highlight_language = "text"  # of a block that names none
smartquotes = False  # a text such as "tail(amplitude=1)" is copied as it is
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]  # index.html, which leads to docs/index.html
html_favicon = "static/icon.svg"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
