"""Structured control flow: branches and loops that transformations see as one operation."""
