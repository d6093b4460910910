"""Data sets: one in memory, the catalogue of named ones, and how the one that a protocol needs gets here."""
