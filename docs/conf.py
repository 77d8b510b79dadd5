"""Sphinx: `make docs`."""

project = "Condensery"
author = "The Condensery developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Condensery"
myst_heading_anchors = 3
napoleon_custom_sections = ["Departs"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
