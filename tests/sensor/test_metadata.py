"""Which rules need what only a container's runtime knows."""

from __future__ import annotations

from condition.ast import And, Compare, Exists, Field, Node, Not, Or, Value
from sensor.metadata import needed

IMAGE: Node = Compare(Field("container.image.repository"), "=", Value("nginx"))
NAMESPACE: Node = Compare(Field("k8s.ns.name"), "=", Value("kube-system"))
EXEC: Node = Compare(Field("evt.type"), "=", Value("execve"))


def test_an_allow_list_by_image_needs_nothing() -> None:
    assert not needed(And((EXEC, Not(IMAGE))))
    assert not needed(And((EXEC, Not(Or((IMAGE, NAMESPACE))))))
    assert not needed(Not(And((EXEC, IMAGE))))


def test_a_rule_for_one_image_needs_it() -> None:
    assert needed(IMAGE) == {"container.image.repository"}
    assert needed(And((EXEC, IMAGE))) == {"container.image.repository"}
    assert needed(And((EXEC, Or((IMAGE, NAMESPACE))))) == {"container.image.repository", "k8s.ns.name"}
    assert needed(Not(Not(IMAGE)))
    assert needed(Not(Or((EXEC, Not(IMAGE)))))
    assert needed(Exists(Field("k8s.ns.name"))) == {"k8s.ns.name"}


def test_another_way_to_be_true_is_enough() -> None:
    assert not needed(Or((IMAGE, EXEC)))
    assert not needed(EXEC)


def test_on_the_host_an_image_is_empty_but_there() -> None:
    assert not needed(Exists(Field("container.image.repository")))
    assert not needed(Compare(Field("container.image.repository"), "!=", Value("nginx")))
    assert needed(Compare(Field("k8s.ns.name"), "!=", Value("kube-system"))) == {"k8s.ns.name"}
    assert not needed(Compare(Field("container.name"), "=", Value("host")))
