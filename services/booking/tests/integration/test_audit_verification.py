"""Verification of the audit trail: whoever tampers with it, the owner of the tables included, shows, and where."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from services.booking.tests.bench import Bench, ask, night
from services.booking.tests.trail import Owner, a_life, asked_from, entries, flaws, verified

from local_stack.environment import service_environment
from local_stack.port import Ports
from servicekit import journal
from servicekit.audit import chain, command_line, verification
from servicekit.audit.command_line import read_heads, write_heads
from servicekit.audit.verification import Report
from servicekit.database import Database

RENUMBER = (
    "alter table audit drop constraint audit_pkey",
    "update audit set sequence = sequence {by} where tenant_id = {t} and sequence >= {at}",
    "alter table audit add primary key (tenant_id, sequence)",
)

ATTACKS: dict[str, tuple[Sequence[str], set[int | None]]] = {
    "who is changed": (["update audit set actor = 'user_eve' where tenant_id = {t} and sequence = 3"], {3}),
    "when is changed, by less than is told": (
        ["update audit set at = at + interval '1 microsecond' where tenant_id = {t} and sequence = 5"],
        {5},
    ),
    "from where is changed": (["update audit set origin = null where tenant_id = {t} and sequence = 1"], {1}),
    "what is changed": (
        ["update audit set data = json_build_object('reason', 'sun') where tenant_id = {t} and sequence = 7"],
        {7},
    ),
    "an outcome is changed": (
        ["update audit set outcome = 'accepted', status = 200 where tenant_id = {t} and sequence = 5"],
        {5},
    ),
    "a role is changed": (["update audit set role = 'org:admin' where tenant_id = {t} and sequence = 6"], {6}),
    "a position is changed": (["update audit set position = 900 where tenant_id = {t} and sequence = 3"], {3, 4}),
    "a digest is changed": (
        ["update audit set digest = sha256('x') where tenant_id = {t} and sequence = 7"],
        {7},
    ),
    "one is removed": (["delete from audit where tenant_id = {t} and sequence = 3"], {3, 4}),
    "one is removed, with what the log says of it": (
        [
            "delete from command_log where tenant_id = {t} and audited = 2",
            "delete from audit where tenant_id = {t} and sequence = 2",
        ],
        {2},
    ),
    "the first is removed": (["delete from audit where tenant_id = {t} and sequence = 1"], {1, 2}),
    "the tail is cut": (["delete from audit where tenant_id = {t} and sequence > 5"], {None, 6, 7}),
    "the tail is cut, and the head moved back": (
        [
            "delete from audit where tenant_id = {t} and sequence > 6",
            (
                "update streams set audited = 6, audited_digest ="
                " (select digest from audit where tenant_id = {t} and sequence = 6) where tenant_id = {t}"
            ),
        ],
        {None, 7},
    ),
    "the last operation is undone everywhere but in the head": (
        [
            "delete from audit where tenant_id = {t} and sequence = 7",
            "delete from command_log where tenant_id = {t} and audited = 7",
            "delete from events where tenant_id = {t} and position = 3",
            "update streams set position = 2, published = least(published, 2) where tenant_id = {t}",
        ],
        {7},
    ),
    "one is inserted at the end": (
        [
            (
                "insert into audit select tenant_id, 8, at, 'user_eve', role, origin, operation, aggregate_id,"
                " gen_random_uuid(), data, status, outcome, position, null, digest from audit"
                " where tenant_id = {t} and sequence = 7"
            )
        ],
        {8},
    ),
    "one is inserted before the first": (
        [
            (
                "insert into audit select tenant_id, 0, at, 'user_eve', role, origin, operation, aggregate_id,"
                " gen_random_uuid(), data, status, outcome, position, null, digest from audit"
                " where tenant_id = {t} and sequence = 1"
            )
        ],
        {0, 1},
    ),
    "everything is removed": (
        [
            "delete from audit where tenant_id = {t}",
            "update streams set audited = 0, audited_digest = null where tenant_id = {t}",
        ],
        {None, 1, 2, 3, 4, 5, 6, 7},
    ),
    "an event is changed": (
        [
            (
                "update events set event_data = jsonb_set(event_data, '{{title}}', '\"Another\"')"
                " where tenant_id = {t} and position = 2"
            )
        ],
        {3},
    ),
    "an event is removed": (["delete from events where tenant_id = {t} and position = 2"], {3}),
    "an event is handed to another command": (
        ["update events set command_id = gen_random_uuid() where tenant_id = {t} and position = 2"],
        {3},
    ),
    "an event is added behind everything": (
        [
            (
                "insert into events select gen_random_uuid(), aggregate_id, event_type, event_data, 9, tenant_id,"
                " created_at, 4, actor, gen_random_uuid() from events where tenant_id = {t} and position = 3"
            ),
            "update streams set position = 4 where tenant_id = {t}",
        ],
        {None},
    ),
    "an outcome is removed": (["delete from command_log where tenant_id = {t} and audited = 2"], {2}),
    "an outcome is told otherwise": (
        ["update command_log set status = 200 where tenant_id = {t} and audited = 5"],
        {5},
    ),
    "an outcome is made up": (
        [
            (
                "insert into command_log select tenant_id, gen_random_uuid(), actor, null, null, status, body,"
                " position, decided_at, 7 from command_log where tenant_id = {t} and audited = 7"
            )
        ],
        {7},
    ),
    "where it begins is changed": (["update streams set audited_from = 1 where tenant_id = {t}"], {1}),
    "one is removed and the others numbered anew": (
        [
            "delete from audit where tenant_id = {t} and sequence = 2",
            RENUMBER[0],
            RENUMBER[1].replace("{by}", "- 1").replace("{at}", "3"),
            RENUMBER[2],
        ],
        {2, 3, 4, 5, 6, 7},
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_shows_and_names_the_entry(shared_bench: Bench, attack: str) -> None:
    tenant, bystander = uuid4(), uuid4()
    await a_life(shared_bench, tenant)
    await a_life(shared_bench, bystander)
    statements, named = ATTACKS[attack]
    await Owner(shared_bench.fresh.owner_dsn, tenant).does(*statements)
    found = await flaws(shared_bench, tenant)
    assert {sequence for sequence, _ in found} == named, found
    assert await flaws(shared_bench, bystander) == []


def chained(start: chain.Link, found: Sequence[dict[str, Any]]) -> list[bytes]:
    """Work out the digests of a trail anew, as somebody does who knows how they are made."""
    digests, before = [], start.digest
    for one in found:
        before = chain.digest_of(before, {name: value for name, value in one.items() if name != "digest"})
        digests.append(before)
    return digests


async def test_a_history_written_anew_with_every_digest_shows_by_heads_kept_elsewhere_alone(
    shared_bench: Bench,
) -> None:
    tenant = uuid4()
    await a_life(shared_bench, tenant)
    kept = read_heads(write_heads((await verified(shared_bench, tenant)).ends))
    found = await entries(shared_bench, tenant)
    found[1]["data"] = None
    digests = chained(chain.begin("booking", tenant, 0), found)
    one = "update audit set digest = decode('{digest}', 'hex') where tenant_id = {{t}} and sequence = {sequence}"
    head = "update streams set audited_digest = decode('{digest}', 'hex') where tenant_id = {{t}}"
    await Owner(shared_bench.fresh.owner_dsn, tenant).does(
        "update audit set data = null where tenant_id = {t} and sequence = 2",
        *(one.format(digest=digest.hex(), sequence=number) for number, digest in enumerate(digests, start=1)),
        head.format(digest=digests[-1].hex()),
    )
    assert await flaws(shared_bench, tenant) == [], "nothing in this database contradicts it"
    ((named, what),) = await flaws(shared_bench, tenant, kept)
    assert (named, "written anew" in what) == (7, True)


async def test_a_tenant_removed_whole_shows_by_heads_kept_elsewhere(bench: Bench) -> None:
    tenant = uuid4()
    await a_life(bench, tenant)
    kept = (await verification.verify(bench.database, "booking")).ends
    assert list(kept) == [tenant]
    tables = ("audit", "command_log", "events", "bookings", "artists", "streams")
    gone = "delete from {table} where tenant_id = {{t}}"
    await Owner(bench.fresh.owner_dsn, tenant).does(*(gone.format(table=table) for table in tables))
    assert (await verification.verify(bench.database, "booking")).flaws == {}
    report = await verification.verify(bench.database, "booking", kept=kept)
    assert [flaw.sequence for flaw in report.flaws[tenant]] == [7]


async def test_only_what_is_new_since_the_heads_is_looked_at_when_so_asked(shared_bench: Bench) -> None:
    tenant = uuid4()
    await a_life(shared_bench, tenant)
    kept = (await verified(shared_bench, tenant)).ends
    artist = await shared_bench.add_artist(tenant)
    await shared_bench.one(ask(tenant, night(artist, 30)))
    report = await verified(shared_bench, tenant, kept, only_new=True)
    assert (report.entries, report.flaws, report.ends[tenant].sequence) == (1, {}, 8)
    await Owner(shared_bench.fresh.owner_dsn, tenant).does(
        "update audit set actor = 'user_eve' where tenant_id = {t} and sequence in (2, 8)"
    )
    assert {sequence for sequence, _ in await flaws(shared_bench, tenant, kept, only_new=True)} == {8}
    assert {sequence for sequence, _ in await flaws(shared_bench, tenant, kept)} == {2, 8}


async def test_a_trail_of_several_pages_is_followed_over_their_ends(
    shared_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "PAGE", 3)
    tenant = uuid4()
    await a_life(shared_bench, tenant)
    assert await flaws(shared_bench, tenant) == []
    await Owner(shared_bench.fresh.owner_dsn, tenant).does(
        "delete from audit where tenant_id = {t} and sequence = 4",
    )
    assert {sequence for sequence, _ in await flaws(shared_bench, tenant)} == {4}


async def test_what_was_forgotten_by_the_log_is_still_in_the_trail(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    long_ago = asked_from(ask(tenant, night(artist)))
    await shared_bench.one(long_ago)
    async with shared_bench.database.transaction([tenant]) as connection:
        assert await journal.prune_log(connection, tenant, -1) == 1
    ((sequence, what),) = await flaws(shared_bench, tenant)
    assert (sequence, "no outcome in the log" in what) == (1, True), "it is younger than the log forgets"


async def audited(bench: Bench, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """Do what ``audit`` does; gives its exit status, the heads that it printed, and what it said."""
    parser = argparse.ArgumentParser()
    command_line.add_arguments(parser)

    def with_database(job: Callable[[Database], Awaitable[Report]]) -> Report:
        async def use() -> Report:
            database = Database(bench.fresh.url, pool_size=1)
            try:
                return await job(database)
            finally:
                await database.stop()

        return asyncio.run(use())

    status = await asyncio.to_thread(command_line.run, parser.parse_args(words), "booking", with_database)
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


async def test_an_operator_verifies_keeps_the_heads_and_is_told_which_entry_is_flawed(
    bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tenant, other = uuid4(), uuid4()
    await a_life(bench, tenant)
    await a_life(bench, other)
    status, heads, said = await audited(bench, capsys, "verify")
    assert (status, len(heads)) == (0, 2), said
    assert "2 trails with 14 entries verified, all as they were written" in said
    kept = tmp_path / "heads"
    kept.write_text("\n".join(heads) + "\n")
    status, heads, said = await audited(bench, capsys, "verify", "--heads", str(kept), "--only-new")
    assert (status, len(heads)) == (0, 2), said
    assert "with 0 entries" in said

    await Owner(bench.fresh.owner_dsn, tenant).does("delete from audit where tenant_id = {t} and sequence = 2")
    status, heads, said = await audited(bench, capsys, "verify", "--heads", str(kept))
    assert status == 1
    assert f"booking, tenant {tenant}, entry 2: entry 2 is removed" in said
    assert [line.split()[0] for line in heads] == [str(other)], "a flawed trail has no head to be kept"
    assert (await audited(bench, capsys, "verify", "--tenant", str(other), "--heads", str(kept)))[0] == 0


async def test_what_is_no_file_of_heads_is_refused_before_anything_is_read(
    bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = tmp_path / "heads"
    for text, why in (
        ("not a head\n", "line 1 is not a head"),
        (f"{uuid4()} 0 {'00' * 32} 0\n", "line 1 is not a head that"),
        (f"{uuid4()} 1 {'00' * 31} 0\n", "line 1 is not a head that"),
    ):
        kept.write_text(text)
        status, _, said = await audited(bench, capsys, "verify", "--heads", str(kept))
        assert (status, why in said) == (2, True), said
    assert (await audited(bench, capsys, "verify", "--heads", str(tmp_path / "nowhere")))[0] == 2
    assert (await audited(bench, capsys, "verify", "--only-new"))[0] == 2


async def test_the_program_says_by_its_exit_status_that_a_trail_is_flawed(bench: Bench) -> None:
    tenant = uuid4()
    await a_life(bench, tenant)
    await Owner(bench.fresh.owner_dsn, tenant).does("delete from audit where tenant_id = {t} and sequence = 2")
    databases = {"booking": bench.fresh.name, "tenancy": "none"}
    environment = service_environment(bench.fresh.engines, Ports(), "http://127.0.0.1:1", databases=databases)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "booking", "audit", "verify"),
        env=os.environ | environment["booking"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    heads, said = await process.communicate()
    assert (process.returncode, heads) == (1, b"")
    assert "entry 2 is removed" in said.decode()
