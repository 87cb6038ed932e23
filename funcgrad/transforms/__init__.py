"""The transformations of functions."""
