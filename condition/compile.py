"""The compiler: a tree to one Python function.

Its text is put together from fixed pieces and numbered names alone. What a rule's author wrote, literals and
patterns, is bound to those names as values and never becomes text.

A field that is asked for more than once is kept in a local variable, and so is the outcome of a part of a
condition that stands in several places, as macros do. The compiler follows what must have been read on every
way through the `and`s and `or`s to a place, and what may have been: only between the two must the function
look whether it has the value yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from condition.ast import And, Compare, Exists, Macro, Node, Not, Operand, Or, Transform, Value, ValueList
from condition.check import check, literals
from condition.comparison import EQUAL, compared_as, holds, rights_of
from condition.fields import FieldInfo, Fields, Kind, Many
from condition.predicates import template
from condition.transform import resolve

NESTED_MOST = 15
"""Levels in one expression; what is deeper goes into a function of its own: Python's parser has limits."""

T = TypeVar("T")
Known: TypeAlias = frozenset[str]
"""Local variables that have their value."""


def compile_condition(node: Node, fields: Fields, text: str | None = None) -> Callable[[Any], bool]:
    """A function of an event that says whether the condition holds. Raises ConditionError.

    With the `text` that the tree was parsed from, the error has its line and column.
    """
    check(node, fields, text)
    writer = _Writer(fields, [node])
    condition: Callable[[Any], bool] = writer.compiled(writer.function("condition", node), "condition")
    return condition


def compile_conditions(rules: Sequence[tuple[Node, T]], fields: Fields) -> Callable[[Any], tuple[T, ...]]:
    """One function for many conditions: it gives what belongs to those that hold, in their order.

    Each field is read once for all of them, and a part that several share is evaluated once. Raises
    ConditionError.
    """
    for node, _ in rules:
        check(node, fields)
    writer = _Writer(fields, [node for node, _ in rules])
    body = writer.rules("conditions", rules)
    conditions: Callable[[Any], tuple[T, ...]] = writer.compiled(body, "conditions")
    return conditions


class _Writer:
    def __init__(self, fields: Fields, roots: Sequence[Node]) -> None:
        self._fields = fields
        self._infos: dict[Operand, FieldInfo] = {}
        self._numbers: dict[Operand | Node, int] = {}
        self._uses: Counter[Operand] = Counter()
        self._shared: Counter[Node] = Counter()
        self._begun: set[str] = set()  # variables that code further up may have given a value
        self._unsure: set[str] = set()  # variables that must be looked at before use
        self._helpers: list[str] = []
        self._names: dict[str, Any] = {"__builtins__": {}, "MISSING": object()}
        self._count(roots)

    def _count(self, roots: Sequence[Node]) -> None:
        """How often each field is asked for and each part is needed; a part that is shared counts once."""
        todo = list(roots)
        while todo:
            node = todo.pop()
            if isinstance(node, And | Or):
                self._shared[node] += 1
                if self._shared[node] == 1:
                    todo.extend(node.children)
            elif isinstance(node, Not):
                todo.append(node.child)
            else:
                self._uses.update(self._keys(node))

    def compiled(self, body: str, name: str) -> Any:
        """The function of this name out of its text."""
        source = "\n".join([*self._helpers, body])
        exec(compile(source, "<condition>", "exec"), self._names)  # noqa: S102 no text of a rule is in it
        return self._names[name]

    def function(self, name: str, node: Node) -> str:
        """Python for a function of the event that says whether one condition holds."""
        outer = self._begun, self._unsure
        self._begun, self._unsure = set(), set()
        expression, _, _ = self._node(node, frozenset(), 0)
        body = f"def {name}(event):\n{self._unset()}    return {expression}"
        self._begun, self._unsure = outer
        return body

    def rules(self, name: str, rules: Sequence[tuple[Node, Any]]) -> str:
        """Python for a function of the event that gives what belongs to the conditions that hold."""
        lines, known = [], frozenset[str]()
        for node, result in rules:
            expression, yes, no = self._node(node, known, 0)
            lines.append(f"    if {expression}:\n        held += {self._bind((result,))}\n")
            known = yes & no
        return f"def {name}(event):\n{self._unset()}    held = ()\n{''.join(lines)}    return held"

    def _unset(self) -> str:
        variables = "".join(f"{variable} = " for variable in sorted(self._unsure))
        return f"    {variables}MISSING\n" if variables else ""

    # Nodes: Python for it, what is known if it holds, and what if it does not.

    def _node(self, node: Node, known: Known, depth: int) -> tuple[str, Known, Known]:
        if isinstance(node, And | Or):
            if depth >= NESTED_MOST:
                return self._helper(node, known)
            return (self._part if self._shared[node] > 1 else self._joined)(node, known, depth)
        if isinstance(node, Not):
            if depth >= NESTED_MOST:
                return self._helper(node, known)
            text, yes, no = self._node(node.child, known, depth + 1)
            return f"(not {text})", no, yes
        if isinstance(node, Exists):
            return self._exists(node, known)
        assert not isinstance(node, Macro)
        spread = self._spread(node)
        if isinstance(spread, Compare):
            return self._compare(spread, known)
        return self._node(spread, known, depth)

    def _helper(self, node: Node, known: Known) -> tuple[str, Known, Known]:
        name = f"helper{len(self._names)}"
        self._names[name] = None  # takes the name
        self._helpers.append(self.function(name, node))
        return f"{name}(event)", known, known

    def _part(self, node: And | Or, known: Known, depth: int) -> tuple[str, Known, Known]:
        """A part that stands in several places: its outcome is kept."""
        variable = f"b{self._numbers.setdefault(node, len(self._numbers))}"
        if variable in known:
            return variable, known, known
        text, yes, no = self._joined(node, known, depth)
        # Wherever the outcome came from, whatever led to it was read there.
        return self._kept(variable, text), yes | {variable}, no | {variable}

    def _joined(self, node: And | Or, known: Known, depth: int) -> tuple[str, Known, Known]:
        """After an `and`, what follows runs only if what precedes holds; after an `or`, only if not."""
        conjunction = isinstance(node, And)
        if not node.children:
            return ("True" if conjunction else "False"), known, known
        texts, through, leaving = [], known, []
        for child in node.children:
            text, yes, no = self._node(child, through, depth + 1)
            texts.append(text)
            through, out = (yes, no) if conjunction else (no, yes)
            leaving.append(out)
        text = f"({(' and ' if conjunction else ' or ').join(texts)})"
        left = frozenset.intersection(*leaving)
        return (text, through, left) if conjunction else (text, left, through)

    def _exists(self, node: Exists, known: Known) -> tuple[str, Known, Known]:
        info = self._info(node.left)
        if info.many is Many.ONE:
            value, _, known = self._read(node.left, known, twice=False)
            return f"({value} is not None)", known, known
        value, again, known = self._read(node.left, known, twice=True)
        self._names["length"] = len
        return f"({value} is not None and length({again}) > 0)", known, known

    def _compare(self, node: Compare, known: Known) -> tuple[str, Known, Known]:
        left = self._info(node.left)
        if not isinstance(node.right, Value | ValueList):
            return self._compare_fields(node, left, node.right, known)
        text, guarded, right = template(left, node.op, literals(node, left))
        value, again, known = self._read(node.left, known, twice=guarded)
        name = self._bind(right)
        if guarded:
            test = text.format(value=again, right=name)
            return f"({value} is not None and {test})", known, known
        return f"({text.format(value=value, right=name)})", known, known

    def _compare_fields(
        self, node: Compare, left: FieldInfo, operand: Operand, known: Known
    ) -> tuple[str, Known, Known]:
        right = self._info(operand)
        kind, op, modifier = compared_as(left, right), node.op, node.modifier

        def test(value: Any, other: Any) -> bool:
            return holds(left, kind, op, modifier, value, rights_of(left, right, other))

        name = self._bind(test)
        first, _, known = self._read(node.left, known, twice=False)
        second, _, known = self._read(_field_of(operand), known, twice=False)
        return f"{name}({first}, {second})", known, known

    def _spread(self, node: Compare) -> And | Or | Compare:
        """A comparison with a modifier and literals as the comparisons it is short for."""
        if node.modifier is None or not isinstance(node.right, Value | ValueList):
            return node
        items = node.right.items if isinstance(node.right, ValueList) else (node.right,)
        if not items:
            return Or(())
        if node.modifier != "allof" and node.op in EQUAL and self._info(node.left).kind is not Kind.DYNAMIC:
            return Compare(node.left, "in", ValueList(items), pos=node.pos)
        each = tuple(Compare(node.left, node.op, item, pos=node.pos) for item in items)
        return And(each) if node.modifier == "allof" else Or(each)

    # Fields and constants

    def _keys(self, node: Node) -> list[Operand]:
        """The fields that a leaf reads."""
        if isinstance(node, Exists):
            return [node.left]
        if not isinstance(node, Compare):
            return []
        if isinstance(node.right, Value | ValueList):
            spread = self._spread(node)
            return [node.left] * (len(spread.children) if isinstance(spread, And | Or) else 1)
        return [node.left, _field_of(node.right)]

    def _info(self, operand: Operand) -> FieldInfo:
        if operand not in self._infos:
            self._infos[operand] = resolve(operand, self._fields)
        return self._infos[operand]

    def _read(self, operand: Operand, known: Known, *, twice: bool) -> tuple[str, str, Known]:
        """Python for the value now and, `twice`, for the same value once more; and what is known then."""
        number = self._numbers.setdefault(operand, len(self._numbers))
        variable, get = f"v{number}", f"get{number}"
        if variable in known:
            return variable, variable, known
        if get not in self._names:
            self._names[get] = self._info(operand).get
        call = f"{get}(event)"
        if self._uses[operand] == 1 and not twice:
            return call, call, known
        return self._kept(variable, call), variable, known | {variable}

    def _kept(self, variable: str, text: str) -> str:
        """Python that evaluates the text into the variable, unless that was done before."""
        first = f"({variable} := {text})"
        if variable not in self._begun:
            self._begun.add(variable)
            return first
        self._unsure.add(variable)
        return f"({variable} if {variable} is not MISSING else {first})"

    def _bind(self, value: Any) -> str:
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name


def _field_of(operand: Operand) -> Operand:
    """`val(field)`, which is only the grammar's word for it, is the field."""
    if isinstance(operand, Transform) and operand.name == "val":
        inner = operand.args[0]
        assert not isinstance(inner, str)
        return inner
    return operand
