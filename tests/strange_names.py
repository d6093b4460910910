"""Names that a user's own module, class or folder may have, and that a format may take for something else."""

from __future__ import annotations

from hypothesis import strategies as st

SPECIAL = [
    *"\\`*_{}[]()<>#+-.!|~^$&%@'\" =/:;,–−±",
    "mine:My_Act",
    "<b>",
    "&amp;",
    "](x)",
    "--",
    "**",
    "1. ",
    "\\begin{x}",
]
PRINTABLE = st.characters(exclude_categories=["C", "Z"])

NAMES = st.lists(st.one_of(st.sampled_from(SPECIAL), PRINTABLE), min_size=1, max_size=12).map("".join).filter(str.strip)
"""Of printable characters, with those that Markdown, LaTeX, HTML or matplotlib read as more than themselves."""
