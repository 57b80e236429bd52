"""What the gateway says of itself, held against what it does."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant
from production_contracts.roles import Role

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("hooks.py")


@pytest.mark.parametrize("role", [role.removeprefix("org:") for role in Role])
async def test_whatever_schemathesis_sends_is_answered_as_the_document_says(
    role: str, tenant: Tenant, tmp_path: Path
) -> None:
    """No 5xx, and every status, content type, header and body as documented; also from one operation to the next."""
    for number in range(3):
        await tenant.booking(await tenant.artist(f"Artist {number}"), number)
    token = tenant.token("ana", role)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
        *("run", f"{tenant.at.gateway_url}/openapi.json", "--header", f"Authorization: Bearer {token}"),
        *("--max-examples", "3", "--generation-deterministic", "--continue-on-failure", "--no-color"),
    ]
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = (await running.communicate())[0].decode()
    except BaseException:
        running.kill()
        raise
    assert running.returncode == 0, said
    document = expect(await tenant.caller().get("/openapi.json"), 200).body
    operations = sum("responses" in operation for path in document["paths"].values() for operation in path.values())
    assert f"{operations} selected / {operations} total" in said, said
    assert re.search(r"API Links: +[1-9]\d* covered", said), said


async def test_every_operation_and_every_error_has_an_example(tenant: Tenant) -> None:
    document = expect(await tenant.caller().get("/openapi.json"), 200).body
    operations: list[dict[str, Any]] = [
        operation for path in document["paths"].values() for operation in path.values() if "responses" in operation
    ]
    without = [
        (operation["operationId"], status)
        for operation in operations
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        if not ("example" in content or "examples" in content)
    ]
    assert without == []
    without_body = [
        operation["operationId"]
        for operation in operations
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if not ("example" in content or "examples" in content)
    ]
    assert without_body == []


async def test_the_addresses_for_machines_and_readers_answer_without_a_token(tenant: Tenant) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        expect(await tenant.caller().get(path, headers={"Authorization": ""}), 200)
