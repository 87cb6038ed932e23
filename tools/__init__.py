"""Commands for people who work on funcgrad."""
