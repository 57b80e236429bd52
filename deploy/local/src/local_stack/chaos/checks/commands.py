"""Commands: each has one outcome, the one its client was told; what was accepted stands, once; nothing is dropped."""

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import FORGOTTEN, CommandOf, Intent, Story, command_uuid, slug_of, told_of
from local_stack.chaos.evidence import Event, Outcome, Place
from local_stack.chaos.history import Call, Settled
from production_contracts.outcomes import is_accepted

ONE_OUTCOME: Final = "one outcome"
ANSWERED_STANDS: Final = "what was answered stands"
APPLIED_ONCE: Final = "applied once"
NOTHING_DROPPED: Final = "nothing dropped"
CAUSE_BEFORE_EFFECT: Final = "cause before effect"

_TENANT_CREATED: Final = "TenantCreated"
"""The first command of a tenant makes this event beside its own."""


def one_outcome(story: Story) -> Finding:
    """Hold what each client was told against the command log: one outcome, and the same at every try."""
    breaches: list[Breach] = []
    count = 0
    for intent in list(story.calls):
        stream, tenant, _, key = intent
        told = story.answers(intent)
        taken = [call for call in story.calls[intent] if call.status == 202]  # noqa: PLR2004 - HTTP
        count += len(told) + len(taken)
        logged = story.remembered.get(intent, [])
        standing = [one for one in told if slug_of(one[1]) not in FORGOTTEN]
        if len(logged) > 1:
            breaches.append(story.breach(f"key {key} has {len(logged)} outcomes", tenant, intents=[intent]))
        elif standing and not logged:
            what = f"key {key} was told {standing[0][0]}, and no outcome is in the log"
            breaches.append(story.breach(what, tenant, intents=[intent]))
        elif logged:
            kept = (logged[0].status, told_of(logged[0].body))
            other = next((one for one in standing if (one[0], told_of(one[1])) != kept), None)
            if other is not None:
                what = f"key {key} was told {other[0]} {slug_of(other[1])}, its outcome is {logged[0].status}"
                breaches.append(story.breach(what, tenant, intents=[intent]))
        undecided = [call for call in taken if (stream, tenant, command_uuid(call.command_id)) not in story.outcome_of]
        if undecided:
            what = f"command {undecided[0].command_id} was acknowledged and has no outcome"
            breaches.append(story.breach(what, tenant, intents=[intent]))
    return Finding(name=ONE_OUTCOME, count=count, breaches=tuple(breaches))


def answered_stands(story: Story) -> Finding:
    """Find each booking and artist that was answered 2xx: its event where the answer says, and its row not older."""
    by_position: dict[Place, dict[int, Event]] = {
        place: {event.position: event for event in events} for place, events in story.evidence.events.items()
    }
    breaches = []
    seen: set[str] = set()
    count = 0
    for intent, body, said in story.accepted():
        stream, tenant = intent[0], intent[1]
        count += 1
        event = by_position.get((stream, tenant), {}).get(body["position"])
        row = story.evidence.rows.get((stream, tenant), {}).get(body["id"])
        what = _missing(body, event, row) or _not_as_asked(story.calls[intent][0], body)
        if what and body["id"] not in seen:  # the first answer that does not stand says enough
            seen.add(body["id"])
            history = [one for one in story.evidence.events.get((stream, tenant), ()) if one.aggregate_id == body["id"]]
            breaches.append(story.breach(what, tenant, told=[said], events=history, intents=[intent]))
    return Finding(name=ANSWERED_STANDS, count=count, breaches=tuple(breaches))


def _missing(body: dict[str, Any], event: Event | None, row: dict[str, Any] | None) -> str:
    name = f"{body['id']} version {body['version']} at position {body['position']}"
    if event is None or (event.aggregate_id, event.version) != (body["id"], body["version"]):
        return f"{name} was answered, and its event is not there"
    if any(event.data.get(field) != value for field, value in told_of(body).items()):
        return f"{name} was answered, and its event says something else"
    if row is None or row["version"] < body["version"]:
        return f"{name} was answered, and the rows do not have it"
    if row["version"] == body["version"] and told_of(row) != told_of(body):
        return f"{name} was answered, and its row says something else"
    return ""


def _not_as_asked(call: Call, body: dict[str, Any]) -> str:
    """Tell where what was accepted is not what was asked."""
    asked = {name: value for name, value in call.asked.items() if name in body}
    asked |= {"confirm": {"status": "confirmed"}, "cancel": {"status": "cancelled"}}.get(call.action, {})
    wrong = [name for name, value in asked.items() if not _says(body[name], value)]
    return f"{body['id']} was accepted with another {' and '.join(wrong)} than was asked" if wrong else ""


def _says(told: Any, asked: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether what was answered holds what was asked; an object that was asked for may be merged into another."""
    if isinstance(asked, dict):
        return all(_says((told or {}).get(name), value) for name, value in asked.items())
    return bool(_moment(told) == _moment(asked))


def _moment(value: Any) -> Any:  # noqa: ANN401 - JSON
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def applied_once(story: Story) -> Finding:
    """Hold the events against the outcomes: each by an accepted command, and no command or intent did it twice."""
    breaches: list[Breach] = []
    made: dict[CommandOf, list[Event]] = defaultdict(list)
    by_intent: dict[Intent, list[Event]] = defaultdict(list)
    for (stream, tenant), events in story.evidence.events.items():
        for event in events:
            command = (stream, tenant, event.command_id)
            made[command].append(event)
            if (intent := story.intent_of.get(command)) is not None:
                by_intent[intent].append(event)
    for command, events in made.items():
        outcome = story.outcome_of.get(command)
        if what := _misapplied(command[2], events, outcome):
            breaches.append(story.breach(what, command[1], events=events, outcomes=[outcome] if outcome else []))
    for intent, events in by_intent.items():
        commands = {event.command_id for event in events}
        if len(commands) > 1:
            what = f"key {intent[3]} was applied by {len(commands)} commands"
            breaches.append(story.breach(what, intent[1], events=events, intents=[intent]))
    return Finding(name=APPLIED_ONCE, count=sum(map(len, made.values())), breaches=tuple(breaches))


def _misapplied(command_id: str, events: list[Event], outcome: Outcome | None) -> str:
    if outcome is None:
        return f"command {command_id} made an event and has no outcome"
    if not is_accepted(outcome.status):
        return f"command {command_id} was rejected with {outcome.status} and made an event"
    own = [event for event in events if event.type != _TENANT_CREATED]
    return f"command {command_id} was applied {len(own)} times" if len(own) > 1 else ""


def nothing_dropped(story: Story) -> Finding:
    """Look for dead letters, and for commands on the topics, or told to be pending, that were never decided."""
    breaches = [
        story.breach(
            f"a record of {letter.topic} was put aside: {letter.reason}",
            letter.tenant_id,
            intents=[
                intent
                for (_, tenant, command), intent in story.intent_of.items()
                if (tenant, command) == (letter.tenant_id, letter.command_id)
            ],
        )
        for letter in story.evidence.dead_letters
    ]
    pending: set[str] = set()
    for command in story.evidence.commands:
        key = (command.stream, command.tenant_id, command.command_id)
        if key not in story.outcome_of:
            pending.add(command.command_id)
            what = f"command {command.command_id} ({command.type}) is on its topic and was never decided"
            intents = [story.intent_of[key]] if key in story.intent_of else []
            breaches.append(story.breach(what, command.tenant_id, intents=intents))
    for intent, lines in story.settled.items():
        waits = next((one for one in lines if _waits(one, pending)), None)
        if waits is not None:
            what = f"command {waits.command_id} was pending at the end of the run"
            breaches.append(story.breach(what, intent[1], intents=[intent]))
    return Finding(name=NOTHING_DROPPED, count=len(story.evidence.commands), breaches=tuple(breaches))


def _waits(one: Settled, reported: set[str]) -> bool:
    named = one.command_id not in {"", "None"}
    return one.state == "pending" and named and command_uuid(one.command_id) not in reported


def cause_before_effect(story: Story) -> Finding:
    """Hold that nobody who asked for an artist after it had been answered 201 was told that it is not there."""
    known: dict[str, tuple[float, Call | None]] = {
        event.aggregate_id: (0.0, None)
        for (stream, _), events in story.evidence.events.items()
        for event in events
        if stream == "tenancy"
    }
    for calls in story.calls.values():
        told = [call for call in calls if call.action == "create-artist" and call.status == 201]  # noqa: PLR2004 - HTTP
        if told:
            known[told[0].answered["id"]] = min(call.ended for call in told), told[0]
    breaches = []
    count = 0
    for intent, calls in story.calls.items():
        for call in calls:
            since, cause = known.get(str(call.asked.get("artist_id")), (call.began, None))
            if call.began <= since or call.status is None:
                continue
            count += 1
            if slug_of(call.answered) == "not-found":
                what = f"artist {call.asked['artist_id']} was refused as unknown after its creation had been answered"
                breaches.append(story.breach(what, intent[1], told=[cause, call] if cause else [call]))
    return Finding(name=CAUSE_BEFORE_EFFECT, count=count, breaches=tuple(breaches))
