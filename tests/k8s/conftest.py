"""Renderings, made once a run; a test that changes one changes a copy."""

import copy
from collections.abc import Callable

import pytest

from local_stack.k8s import check
from local_stack.k8s.objects import Rendering

DEV, PRODUCTION, WHOLE = "overlays/dev", "overlays/production", "examples/whole"


@pytest.fixture(scope="session")
def renderings() -> dict[str, Rendering]:
    return {rendering.name: rendering for rendering in check.renderings()}


@pytest.fixture
def altered(renderings: dict[str, Rendering]) -> Callable[[str], Rendering]:
    """Give a copy of a rendering that the test may change."""
    return lambda name: copy.deepcopy(renderings[name])
