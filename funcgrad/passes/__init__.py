"""Passes: programs in, equivalent programs out that cost less to run."""
