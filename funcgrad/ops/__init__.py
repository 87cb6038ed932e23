"""The primitives, a family a file; `rules` has the constructors."""
