"""The documentation: `make docs` builds it, without a warning, from these pages and from the docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "funcgrad"
copyright = "the funcgrad authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # formulas show without a network too
    "reference",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries = False
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["README.md"]
default_role = "code"
highlight_language = "python"
# Doctests in Markdown are Python sessions; Sphinx takes the prompts by itself.
nitpicky = False

html_theme = "furo"
html_title = "funcgrad"
html_static_path = ["_static"]
html_css_files = ["funcgrad.css"]
html_show_sphinx = False
html_copy_source = False
html_last_updated_fmt = None
