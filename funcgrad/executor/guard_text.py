"""The tree of guards as text: which lines branch, on what, how often each path was taken, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.executor.guard_tree import Node, Tree
from funcgrad.ops.guard import key_text
from funcgrad.source import describe

__all__ = ["describe_tree"]


def describe_tree(tree: Tree, times: Sequence[int]) -> str:
    """All paths, by their guards; `times` says how often each was taken.

    Guards that have seen one value only stand below each other; each further value of a guard begins a column.
    """
    lines = [f"{len(tree.leaves)} path{'' if len(tree.leaves) == 1 else 's'}, {sum(times)} runs"]
    todo: list[tuple[Node, int, str]] = [(tree.root, 1, "")]
    while todo:
        node, depth, label = todo.pop()
        indent = "  " * depth
        count = len(node.equations)
        text = f"{count} operation{'' if count == 1 else 's'}"
        if node.leaf is not None:
            leaf = node.leaf
            text += f", end of path {leaf.number}: {leaf.equations} operations, "
            text += f"{times[leaf.number]} run{'' if times[leaf.number] == 1 else 's'}, "
            text += f"recorded in {1e3 * leaf.seconds:.2f} ms"
        lines.append(f"{indent}{label}{text}")
        if node.test is None:
            continue
        place = describe(node.test.source)
        lines.append(f"{indent}{node.test.kind}(x)" + (f" at {place}" if place else ""))
        deeper = depth + (len(node.children) > 1)
        for key, child in reversed(node.children.items()):
            todo.append((child, deeper, f"= {key_text(node.test.kind, key)}: "))
    return "\n".join(lines)
