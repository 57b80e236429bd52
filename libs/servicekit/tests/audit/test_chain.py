"""The chain: whatever is done to a trail shows, unless all that follows is written anew and the head with it."""

import hashlib
import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from production_contracts.audit import AuditEntry
from servicekit.audit import chain
from servicekit.audit.chain import Asked, Decided, Link

TENANT, OTHER = UUID(int=1), UUID(int=2)
BEGIN = chain.begin("booking", TENANT, 0)
MOMENT = datetime(2027, 5, 8, 20, tzinfo=UTC)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DATA = st.none() | st.dictionaries(st.sampled_from(["title", "venue", "notes"]), st.none() | TEXTS)
OPERATIONS = st.lists(st.tuples(TEXTS, DATA, st.integers(0, 2)), min_size=1, max_size=12)


def written(operations: list[tuple[str, Any, int]], start: Link = BEGIN) -> list[dict[str, Any]]:
    """Write a trail of operations of (actor, data, number of events), as it is read once it is stored."""
    entries, link = [], start
    for number, (actor, data, made) in enumerate(operations):
        asked = Asked(
            role="org:member",
            origin={"channel": "api", "address": "203.0.113.9", "agent": actor},
            operation="production.booking.create.v1",
            aggregate_id=uuid5(TENANT, str(number)),
            data=data,
        )
        decided = Decided(
            tenant_id=TENANT,
            command_id=uuid5(OTHER, str(number)),
            at=MOMENT + timedelta(seconds=number),
            actor=actor,
            status=200 if made else 403,
            outcome="accepted" if made else "forbidden",
            position=link.position + made,
            events=[{"position": link.position + 1 + one, "data": data} for one in range(made)],
        )
        entered, link = chain.enter("booking", link, asked, decided)
        entries.append(
            {
                "stream": "booking",
                "sequence": entered.sequence,
                "at": f"2027-05-08T20:{number // 60:02}:{number % 60:02}.000Z",
                "actor": actor,
                "role": asked.role,
                "origin": asked.origin,
                "operation": asked.operation,
                "aggregate_id": str(asked.aggregate_id),
                "command_id": str(decided.command_id),
                "data": data,
                "status": decided.status,
                "outcome": decided.outcome,
                "position": decided.position,
                "events_digest": entered.events_digest,
                "digest": entered.digest.hex(),
            }
        )
    return entries


def end_of(entries: list[dict[str, Any]]) -> Link:
    last = entries[-1]
    return Link(sequence=last["sequence"], digest=bytes.fromhex(last["digest"]), position=last["position"])


@given(OPERATIONS)
def test_a_trail_that_nobody_touched_has_no_flaw_and_ends_where_it_ended(operations: list[Any]) -> None:
    entries = written(operations)
    assert chain.examine(BEGIN, entries) == (end_of(entries), [])


@given(OPERATIONS)
def test_an_entry_is_read_as_the_contract_says(operations: list[Any]) -> None:
    for entry in written(operations):
        assert AuditEntry.model_validate(entry).model_dump(mode="json") == entry


@given(OPERATIONS, st.data())
def test_a_page_at_a_time_finds_the_same(operations: list[Any], data: st.DataObject) -> None:
    entries = written(operations)
    cut = data.draw(st.integers(0, len(entries)))
    link, flaws = chain.examine(BEGIN, entries[:cut])
    assert flaws == []
    assert chain.examine(link, entries[cut:]) == (end_of(entries), [])


@given(OPERATIONS, st.data())
def test_whatever_is_changed_in_an_entry_is_found_in_that_entry(operations: list[Any], data: st.DataObject) -> None:
    entries = written(operations)
    at = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from([name for name in entries[at] if name not in {"sequence", "stream"}]))
    changed = deepcopy(entries)
    before = entries[at][name]
    match before:
        case int():
            changed[at][name] = before + data.draw(st.integers(1, 5))
        case str() if name in {"digest", "events_digest"}:
            changed[at][name] = hashlib.sha256(before.encode()).hexdigest()
        case str():
            changed[at][name] = before + "x"
        case dict():
            changed[at][name] = {**before, "planted": 1}
        case _:
            changed[at][name] = {"planted": 1} if name == "data" else "planted"
    _, flaws = chain.examine(BEGIN, changed)
    assert flaws[0].sequence == at + 1


@given(OPERATIONS, st.data())
def test_a_removed_entry_is_named_and_a_cut_tail_ends_elsewhere(operations: list[Any], data: st.DataObject) -> None:
    entries = written(operations)
    at = data.draw(st.integers(0, len(entries) - 1))
    left = entries[:at] + entries[at + 1 :]
    end, flaws = chain.examine(BEGIN, left)
    if at == len(entries) - 1:
        assert (end.sequence, flaws) == (at, [])
        assert end != end_of(entries)
    else:
        assert [flaw.sequence for flaw in flaws] == [at + 1]
        assert "removed" in flaws[0].what


@given(OPERATIONS, st.data())
def test_removed_and_numbered_anew_every_entry_from_there_on_is_found(
    operations: list[Any], data: st.DataObject
) -> None:
    entries = written(operations)
    at = data.draw(st.integers(0, len(entries) - 1))
    left = deepcopy(entries[:at] + entries[at + 1 :])
    for number, entry in enumerate(left, start=1):
        entry["sequence"] = number
    _, flaws = chain.examine(BEGIN, left)
    assert {flaw.sequence for flaw in flaws} == set(range(at + 1, len(entries)))


@given(OPERATIONS, st.data())
def test_an_inserted_entry_is_found_even_where_its_own_digest_follows(
    operations: list[Any], data: st.DataObject
) -> None:
    entries = written(operations)
    at = data.draw(st.integers(0, len(entries) - 1))
    link, _ = chain.examine(BEGIN, entries[:at])
    (forged,) = written([("mallory", {"title": "planted"}, 0)], link)
    rest = deepcopy(entries[at:])
    for entry in rest:
        entry["sequence"] += 1
    _, flaws = chain.examine(BEGIN, [*entries[:at], forged, *rest])
    assert flaws[0].sequence == at + 2


@given(OPERATIONS)
def test_a_trail_is_one_tenants_own_and_begins_where_it_says(operations: list[Any]) -> None:
    entries = written(operations)
    for other in (
        chain.begin("booking", OTHER, 0),
        chain.begin("tenancy", TENANT, 0),
        chain.begin("booking", TENANT, 1),
    ):
        _, flaws = chain.examine(other, entries)
        assert flaws[0].sequence == 1


@given(OPERATIONS)
def test_written_anew_from_its_begin_only_a_head_that_was_kept_tells(operations: list[Any]) -> None:
    entries = written(operations)
    forged = written([("mallory", *operations[0][1:]), *operations[1:]])
    end, flaws = chain.examine(BEGIN, forged)
    assert flaws == []
    assert (end != end_of(entries)) or operations[0][0] == "mallory"


@given(OPERATIONS)
def test_whoever_has_a_json_library_can_verify_it_as_the_contract_tells(operations: list[Any]) -> None:
    def canonical(value: object) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    begin = {"position": 0, "stream": "booking", "tenant_id": str(TENANT)}
    digest = hashlib.sha256(canonical(begin)).digest()
    for entry in written(operations):
        stated = {name: value for name, value in entry.items() if name != "digest"}
        digest = hashlib.sha256(digest + canonical(stated)).digest()
        assert digest.hex() == entry["digest"]
