"""A run as one story: what everybody was told, indexed, beside what is left."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from local_stack.chaos.checks.finding import Breach
from local_stack.chaos.evidence import Event, Evidence, Outcome, Stream
from local_stack.chaos.history import Call, Fault, Line, Settled, Told
from production_contracts.events import public_data
from production_contracts.outcomes import is_accepted

Intent = tuple[Stream, str, str, str]
"""Something that a client wants once: the service that decides it, tenant, user and key."""

CommandOf = tuple[Stream, str, str]
"""A command: the service that decides it, tenant and id."""

FORGOTTEN = frozenset({"forbidden", "unavailable", "idempotency-key-reused"})
"""Refusals that no key stands for: the next try is decided anew."""


class Story:
    """Lines and evidence, indexed once for all checks; cuts the smallest history around what a check found."""

    def __init__(self, lines: Iterable[Line], evidence: Evidence) -> None:
        """Index a history and what is left."""
        self.evidence = evidence
        self.faults: list[Fault] = []
        self.calls: dict[Intent, list[Call]] = defaultdict(list)
        self.settled: dict[Intent, list[Settled]] = defaultdict(list)
        self.told: dict[str, list[Told]] = defaultdict(list)
        actions: dict[tuple[str, str, str], Stream] = {}
        for line in lines:
            match line:
                case Call():
                    stream = "tenancy" if line.action == "create-artist" else "booking"
                    actions[line.tenant_id, line.sub, line.key] = stream
                    self.calls[stream, line.tenant_id, line.sub, line.key].append(line)
                case Settled():
                    stream = actions.get((line.tenant_id, line.sub, line.key), "booking")
                    self.settled[stream, line.tenant_id, line.sub, line.key].append(line)
                case Told():
                    self.told[line.watcher].append(line)
                case Fault():
                    self.faults.append(line)
        self.outcome_of: dict[CommandOf, Outcome] = {}
        self.remembered: dict[Intent, list[Outcome]] = defaultdict(list)
        for outcome in evidence.outcomes:
            self.outcome_of[outcome.stream, outcome.tenant_id, outcome.command_id] = outcome
            if outcome.key is not None:
                self.remembered[outcome.stream, outcome.tenant_id, outcome.actor, outcome.key].append(outcome)
        self.intent_of: dict[CommandOf, Intent] = {
            (one.stream, one.tenant_id, one.command_id): (one.stream, one.tenant_id, one.sub, one.key)
            for one in evidence.commands
            if one.key is not None
        }

    def answers(self, intent: Intent) -> list[tuple[int, Any, Call | Settled]]:
        """Give the outcomes that an intent's client was told, by whatever way: status, body and where.

        An answer to a call is an outcome where it has a position; without, the gateway itself has refused.
        """
        given: list[tuple[int, Any, Call | Settled]] = [
            (call.status, call.answered, call)
            for call in self.calls[intent]
            if call.status is not None and (call.position is not None or call.status in {200, 201})
        ]
        given += [(one.status, one.answered, one) for one in self.settled[intent] if one.status is not None]
        return given

    def accepted(self) -> Iterable[tuple[Intent, dict[str, Any], Call | Settled]]:
        """Give every 2xx that a client was told, with its body."""
        for intent in list(self.calls):
            for status, body, said in self.answers(intent):
                if is_accepted(status):
                    yield intent, body, said

    def breach(
        self,
        what: str,
        tenant_id: str,
        *,
        told: Sequence[Call | Settled | Told] = (),
        events: Sequence[Event] = (),
        intents: Iterable[Intent] = (),
        outcomes: Sequence[Outcome] = (),
    ) -> Breach:
        """Cut the history around a breach: these, the calls behind them, and the faults that overlapped with those."""
        wanted = dict.fromkeys(intents)
        named = chain(
            ((event.stream, event.tenant_id, event.command_id) for event in events),
            ((outcome.stream, outcome.tenant_id, outcome.command_id) for outcome in outcomes),
        )
        for command in named:
            if (intent := self.intent_of.get(command)) is not None:
                wanted[intent] = None
        lines: list[Call | Settled | Told] = list(told)
        for intent in wanted:
            lines += [*self.calls.get(intent, ()), *self.settled.get(intent, ())]
        lines = [line for number, line in enumerate(lines) if line not in lines[:number]]
        logged = list(outcomes)
        for intent in wanted:
            logged += [outcome for outcome in self.remembered.get(intent, ()) if outcome not in logged]
        faults = self._faults(lines)
        return Breach(what=what, tenant_id=tenant_id, told=lines, events=events, outcomes=logged, faults=faults)

    def _faults(self, lines: Sequence[Call | Settled | Told]) -> list[Fault]:
        if not lines:
            return []
        began = min(line.began if isinstance(line, Call) else line.at for line in lines)
        ended = max(line.ended if isinstance(line, Call) else line.at for line in lines)
        return [fault for fault in self.faults if fault.began <= ended and fault.ended >= began]


def slug_of(body: Any) -> str:  # noqa: ANN401 - JSON
    """Name the problem that a body is; empty where it is none."""
    kind = body.get("type") if isinstance(body, dict) else None
    return kind.rpartition("/")[2] if isinstance(kind, str) else ""


def told_of(body: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what is sealed behind the gateway and open before it."""
    return public_data(body) if isinstance(body, dict) else body


def command_uuid(text: str | None) -> str:
    """Read the id of a command out of what clients see of it (`gateway.domain.command_ids`); empty where it is none."""
    encoded = (text or "").partition("-")[2]
    try:
        return str(UUID(bytes=base64.urlsafe_b64decode(encoded)[:16]))
    except (ValueError, binascii.Error):
        return ""
