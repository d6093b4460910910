"""Activations, the networks they are put into, and how either is found by name."""
