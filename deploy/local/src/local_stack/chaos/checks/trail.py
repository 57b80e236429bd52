"""The audit trail: chained as it was written, and one entry for each outcome, which tells what the outcome tells."""

from collections import Counter
from typing import Final
from uuid import UUID

from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import Story
from servicekit.audit import chain

TRAIL: Final = "audit trail"


def trail(story: Story) -> Finding:
    """Follow each trail from its begin, and hold its entries against the command log, both ways."""
    breaches: list[Breach] = []
    outcomes = {(one.stream, one.tenant_id, one.command_id): one for one in story.evidence.outcomes}
    entered: Counter[tuple[str, str, str]] = Counter()
    for (stream, tenant), entries in sorted(story.evidence.trails.items()):
        _, flaws = chain.examine(chain.begin(stream, UUID(tenant), 0), entries)
        breaches += [
            story.breach(f"entry {flaw.sequence} of the trail of {stream}: {flaw.what}", tenant) for flaw in flaws
        ]
        for entry in entries:
            named = (stream, tenant, entry["command_id"])
            entered[named] += 1
            logged = outcomes.get(named)
            if logged is None or (logged.status, logged.position) != (entry["status"], entry["position"]):
                what = f"entry {entry['sequence']} of the trail of {stream} tells what the command log does not"
                breaches.append(story.breach(what, tenant, outcomes=[logged] if logged else []))
    for (stream, tenant, command), outcome in outcomes.items():
        if (count := entered[stream, tenant, command]) != 1:
            what = f"command {command} has {count} entries in the trail of {stream}"
            breaches.append(story.breach(what, tenant, outcomes=[outcome]))
    return Finding(name=TRAIL, count=sum(entered.values()), breaches=tuple(breaches))
