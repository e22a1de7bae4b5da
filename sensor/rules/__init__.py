"""Falco's rules: loaded, matched with events, and rendered as alerts."""

from sensor.rules.engine import Engine
from sensor.rules.problems import Problem, RulesError
from sensor.rules.render import render
from sensor.rules.ruleset import LeftOut, Rule, RuleSet, load_rules

__all__ = ["Engine", "LeftOut", "Problem", "Rule", "RuleSet", "RulesError", "load_rules", "render"]
