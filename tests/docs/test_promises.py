"""The page of promises leaves out no check and no mutation, and promises nothing that nothing checks."""

from local_stack.chaos.checker import CHECKS
from local_stack.chaos.mutations import MUTATIONS
from pages import promises


def test_each_promise_is_checked_each_check_is_promised_and_each_mutation_told() -> None:
    page = promises.page()
    assert {check for checks in promises.PROMISES.values() for check in checks} == set(CHECKS)
    assert all(promises.PROMISES.values())
    assert all(f"| `{name}` |" in page for name in MUTATIONS)
