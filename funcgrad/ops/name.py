"""`name`: the identity, with a name by which a policy of `checkpoint` knows the value."""

from __future__ import annotations

from funcgrad.ops.rules import declare

__all__ = ["NAME"]

NAME = declare(
    "name",
    lambda x, name: x,
    lambda x, name: x,
    jvp=lambda tangents, out, ins, name: tangents[0],  # neither tangents nor cotangents bear the name
    vjp=lambda ct, out, ins, wanted, name: [ct],
    pointwise=True,
    moves="alias",
    generic=True,
    linear="all",
    total=True,
)
