"""How Sphinx makes the site: of the lessons with their stored outputs, and of the package's docstrings."""

from __future__ import annotations

import os

project = "rmqlab"
author = "The rmqlab maintainers"
project_copyright = "The rmqlab maintainers"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["notebooks/programs"]

# The outputs that are stored are those that CI has compared.
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
nb_code_prompt_show = "Show: {type}"
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3
# A page loads nothing from another host.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
mathjax_path = "no-page-has-a-formula.js"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures stay short; the docstrings name each argument
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
nitpicky = False

html_theme = "sphinx_book_theme"
html_title = "rmqlab: RabbitMQ in Python, measured"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "home_page_in_toc": False,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Links to source, Binder and Codespaces lead to wherever the site is built from.
if repository := os.environ.get("RMQLAB_REPOSITORY", ""):
    html_theme_options |= {
        "repository_url": repository,
        "repository_branch": "main",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
    }
