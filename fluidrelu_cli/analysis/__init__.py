"""Statistics: tables in, tables out; no words."""

DEFAULT_BASELINE = "relu"
"""The activation that others are compared with unless another is named."""
