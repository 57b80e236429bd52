"""What the tests of the audit trail stand on: a short life, and an ill-disposed owner of the tables."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
from services.booking.tests.bench import Bench, ask, move, night

from production_contracts import commands
from production_contracts.audit import CallOrigin
from production_contracts.commands import Command, RefusedBookingCall
from production_contracts.roles import Role
from production_contracts.sealed import Sealed
from servicekit.audit import store, verification
from servicekit.audit.chain import Link
from servicekit.audit.verification import Report

NOTES = Sealed(kid="k1", ct="ciphertext")
FROM = CallOrigin(channel="api", address="203.0.113.9", agent="curl/8.5.0")


def asked_from(command: Command) -> Command:
    """Let a command come from somewhere."""
    author = command.body.author.model_copy(update={"origin": FROM})
    return replace(command, body=command.body.model_copy(update={"author": author}))


async def entries(bench: Bench, tenant: UUID) -> list[dict[str, Any]]:
    """Read a tenant's trail."""
    async with bench.database.reading(tenant) as connection:
        return await store.entries_after(connection, "booking", tenant, 0, 1000)


async def verified(
    bench: Bench, tenant: UUID, kept: Mapping[UUID, Link] | None = None, *, only_new: bool = False
) -> Report:
    """Verify one tenant's trail."""
    return await verification.verify(bench.database, "booking", tenant_id=tenant, kept=kept, only_new=only_new)


async def flaws(
    bench: Bench, tenant: UUID, kept: Mapping[UUID, Link] | None = None, *, only_new: bool = False
) -> list[tuple[int | None, str]]:
    """Tell what is wrong with one tenant's trail."""
    report = await verified(bench, tenant, kept, only_new=only_new)
    return [(flaw.sequence, flaw.what) for found in report.flaws.values() for flaw in found]


async def a_life(bench: Bench, tenant: UUID) -> list[Command]:
    """Let seven operations happen: accepted, refused, without effect, and a call that the gateway refused."""
    artist = await bench.add_artist(tenant)
    create = ask(tenant, night(artist, notes=NOTES))
    booking = create.aggregate_id
    asked = [
        create,
        ask(tenant, night(artist)),
        ask(tenant, commands.ConfirmBooking(), booking),
        ask(tenant, commands.ConfirmBooking(), booking),
        ask(tenant, move(3), booking, role=Role.VIEWER),
        ask(tenant, RefusedBookingCall(operation="POST /v1/bookings"), tenant, role=Role.VIEWER),
        ask(tenant, commands.CancelBooking(reason="rain"), booking),
    ]
    asked = [asked_from(command) for command in asked]
    await bench.handle(*asked[:3])
    await bench.handle(*asked[3:])
    return asked


class Owner:
    """The role that owns the tables, ill-disposed: it switches off what is in its way."""

    def __init__(self, dsn: str, tenant: UUID) -> None:
        self._dsn = dsn
        self._tenant = tenant

    async def does(self, *statements: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute("alter table audit disable trigger user")
            await connection.execute("alter table command_log disable trigger user")
            await connection.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{self._tenant}}}",))
            for statement in statements:
                done = await connection.execute(statement.format(t=f"'{self._tenant}'").encode())
                assert done.rowcount, f"this does nothing: {statement}"
            await connection.execute("alter table audit enable trigger user")
            await connection.execute("alter table command_log enable trigger user")
