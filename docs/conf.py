"""Configuration of the documentation: sphinx-build --fail-on-warning docs docs/_build."""

project = "actdim"
author = copyright = "The actdim authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build", "schema"]
nitpicky = True
highlight_language = "bash"  # of blocks that name no language: commands

myst_heading_anchors = 3  # so that links name headings as on GitHub: method.md#single-directions

html_theme = "furo"
html_title = "actdim"
