"""What was sealed before each tenant had keys of its own is still read, and a patch seals it anew with the tenant's."""

from collections.abc import Callable
from uuid import UUID

import psycopg
from tests.sealing.conftest import LEGACY_KEY, LEGACY_KID

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant
from local_stack.system import System
from servicekit.vault import AesVault


async def test_notes_of_an_earlier_release_are_read_and_sealed_anew_when_they_change(
    whole: System, new_tenant: Callable[[], Tenant]
) -> None:
    tenant = new_tenant()
    booking = await tenant.booking(await tenant.artist())
    old = AesVault({LEGACY_KID: LEGACY_KEY}).seal(tenant.id, UUID(booking["id"]), "notes", "from before")
    place = f"/v1/bookings/{booking['id']}"
    with psycopg.connect(whole.engines.postgres_dsn("booking"), autocommit=True) as connection:
        connection.execute("update bookings set notes = %s where tenant_id = %s", (old.model_dump_json(), tenant.id))
        assert expect(await tenant.caller().get(place), 200).body["notes"] == "from before"
        assert expect(await tenant.caller().patch(place, {"notes": "new"}), 200).body["notes"] == "new"
        query = "select notes->>'kid' from bookings where tenant_id = %s"
        assert connection.execute(query, (tenant.id,)).fetchone() != (LEGACY_KID,)
