"""One trial, or several seeds together, trained."""
