"""Everything that is rendered, held to everything that is asked of it."""

from collections.abc import Iterator
from typing import Final

from local_stack.k8s import schemas, strimzi
from local_stack.k8s.objects import K8S, RENDERED, Finding, Policy, Rendering, render
from local_stack.k8s.policies import network, pods, references, settings

POLICIES: Final[tuple[Policy, ...]] = (
    schemas.valid,
    pods.images,
    pods.restricted,
    pods.namespaces,
    pods.tokens,
    pods.resources,
    pods.probes,
    pods.endings,
    pods.disruptions,
    pods.versions,
    network.closed,
    network.covered,
    references.selectors,
    references.references,
    references.mounts,
    references.placeholders,
    settings.settings,
    settings.nothing_in_clear,
)


def judge(rendering: Rendering) -> Iterator[Finding]:
    """Hold a rendering to every policy."""
    for policy in POLICIES:
        yield from policy(rendering)


def renderings() -> Iterator[Rendering]:
    """Render everything that is there to be rendered.

    Raises:
        RenderingError: something can't be.
    """
    for folder in RENDERED:
        yield Rendering(name=str(folder), objects=render(K8S / folder))


def stale() -> Iterator[Finding]:
    """Name the files that are not what the contracts make of them."""
    for file, text in strimzi.texts().items():
        if not file.exists() or file.read_text() != text:
            yield f"{file.name} is not what the contracts say: python -m local_stack.k8s generate"
