"""What a line of ours begins with is a constant, so that it can be told to Sentry: no value is put into it."""

import ast
from collections.abc import Iterator

import pytest

from local_stack.checkout import ROOT

SERIOUS = {"error", "exception", "critical", "fatal", "log"}
LOGGERS = {"log", "_log", "logger", "_logger"}


def calls(source: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SERIOUS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in LOGGERS
        ):
            yield node


def is_constant(call: ast.Call) -> bool:
    match call.args:
        case [ast.Constant(value=str())]:
            return True
        case _:
            return False


def test_each_serious_line_begins_with_a_constant() -> None:
    files = [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    found = {f"{file.relative_to(ROOT)}:{call.lineno}": call for file in files for call in calls(file.read_text())}
    assert len(found) > 10
    assert [where for where, call in found.items() if not is_constant(call)] == []


@pytest.mark.parametrize("line", ["log.error(f'failed: {name}')", "_log.critical('lost %s', name)", "log.error(name)"])
def test_one_that_does_not_is_found(line: str) -> None:
    (call,) = calls(line)
    assert not is_constant(call)
