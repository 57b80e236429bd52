"""Each check bites: a system that is wrong on purpose is found out, by exactly the checks that should; a right one not.

The mutations are real ones, of the real services on the real engines; `deploy/local/tests/chaos` doctors what no
mutation reaches.
"""

import secrets
from collections.abc import Callable, Collection
from pathlib import Path

import aiohttp
import pytest

from local_stack.chaos import drills, history
from local_stack.chaos.checker import CHECKS, Verdict, check
from local_stack.chaos.evidence import collect
from local_stack.chaos.history import History
from local_stack.chaos.mutations import MUTATIONS
from local_stack.chaos.stage import Stage
from local_stack.clients.tenant import Tenant
from local_stack.system import System


@pytest.fixture
def new_tenant(own_system: System, session: aiohttp.ClientSession) -> Callable[[], Tenant]:
    return lambda: Tenant(name=f"t{secrets.token_hex(8)}", at=own_system.at, session=session)


async def judged(
    system: System, new_tenant: Callable[[], Tenant], path: Path, *names: str, expected: Collection[str] = ()
) -> Verdict:
    tenants = new_tenant(), new_tenant()
    with History(path) as written:
        await drills.perform(Stage(system, *tenants, written, expected), *names)
    return check(history.read(path), await collect(system.at, [tenant.id for tenant in tenants]))


async def test_a_system_that_is_right_breaks_no_promise_under_any_drill(
    own_system: System, new_tenant: Callable[[], Tenant], tmp_path: Path
) -> None:
    drills.mutate(own_system, None)
    verdict = await judged(own_system, new_tenant, tmp_path / "history", *drills.DRILLS)
    assert not verdict.breaches, verdict.render()


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_system_that_is_wrong_is_found_out(
    name: str, own_system: System, new_tenant: Callable[[], Tenant], tmp_path: Path
) -> None:
    mutation = MUTATIONS[name]
    drills.mutate(own_system, name)
    verdict = await judged(own_system, new_tenant, tmp_path / "history", mutation.drill, expected=mutation.bites)
    assert verdict.broken == mutation.bites, verdict.render()


def test_every_check_is_bitten_by_a_mutation() -> None:
    assert {name for mutation in MUTATIONS.values() for name in mutation.bites} == set(CHECKS)
