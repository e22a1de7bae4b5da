"""Rules that could never speak, because what they wait for only the container's runtime knows.

Absent fields make every comparison false. Where such a comparison stands under `not` (an allow-list by
image), the rule speaks without it, as in Falco without the runtime's socket. Where the rule *needs* it to be
true, the rule is dead, and must be left out loudly rather than loaded silently.
"""

from __future__ import annotations

from condition.ast import And, Compare, Exists, Field, Node, Not, Operand, Or, Transform

_EMPTY_ON_HOST = frozenset({"container.image.repository", "container.image.tag"})
METADATA = _EMPTY_ON_HOST | {"k8s.ns.name", "k8s.pod.name"}
"""Fields that never have a value other than the empty text, on the host."""


def needed(node: Node, fields: frozenset[str] = METADATA) -> frozenset[str]:
    """The fields of `fields` without which the condition (macros expanded) can never hold; else empty."""
    found = _dead(node, fields, negated=False)
    return frozenset() if found is None else found


def _dead(node: Node, fields: frozenset[str], *, negated: bool) -> frozenset[str] | None:
    """The absent fields that make the node false (`negated`: true's opposite) for ever; None: it can hold."""
    if isinstance(node, Not):
        return _dead(node.child, fields, negated=not negated)
    if isinstance(node, And | Or):
        parts = [_dead(child, fields, negated=negated) for child in node.children]
        if isinstance(node, And) != negated:  # all must hold: one dead part is enough
            return next((part for part in parts if part is not None), None)
        if all(part is not None for part in parts):  # one must hold, and none can
            return frozenset().union(*(part for part in parts if part is not None))
        return None
    if negated or not isinstance(node, Compare | Exists):
        return None  # a comparison with an absent field is false: under `not` that is true
    used = _fields_of(node.left) & fields
    if isinstance(node, Exists) or node.op == "!=":
        used -= _EMPTY_ON_HOST  # true on the host, where they are empty but there
    return used or None


def _fields_of(operand: Operand) -> frozenset[str]:
    if isinstance(operand, Field):
        return frozenset({operand.name})
    assert isinstance(operand, Transform)
    inner = [_fields_of(arg) for arg in operand.args if not isinstance(arg, str)]
    return frozenset().union(*inner)
