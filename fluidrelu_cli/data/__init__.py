"""Data sets: one in memory, the catalogue, and how one gets here."""
