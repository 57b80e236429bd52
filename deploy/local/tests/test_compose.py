"""What Compose brings up is what the native stack is, as far as files can tell; containers are tried elsewhere."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from local_stack import __main__ as command_line
from local_stack import compose, stack
from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import SERVICES, service_environment
from local_stack.port import Ports

FILE = (ROOT / "docker-compose.yml").read_text()
ADDRESSES = Addresses(postgres_port=1, redis_port=2, kafka_port=3, credentials=Credentials())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_in_a_container_whatever_it_is_told_natively(service: str) -> None:
    natively = service_environment(ADDRESSES, Ports(), "http://127.0.0.1:8090")[service].keys()
    stated = set(re.findall(r"^ +([A-Z]+_[A-Z_]+):", FILE, re.MULTILINE))
    assert natively - stated <= {f"{service.upper()}_HTTP_PORT"}, "the port within a container is the default one"


def test_the_status_of_containers_names_what_is_published_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "STATE", tmp_path / "state.json")
    monkeypatch.setattr(stack, "running_pid", os.getpid)
    compose.write_state(Ports())
    default = "".join(
        str(service.get("ports", ""))
        for service in yaml.safe_load(FILE)["services"].values()
        if "profiles" not in service
    )
    published = re.findall(r"\$\{STACK_([A-Z]+)_PORT:-(\d+)\}:\d", default)
    parts = json.loads(stack.STATE.read_text())
    assert {(part["name"], str(part["port"])) for part in parts} == {(name.lower(), port) for name, port in published}
    command_line.status()
    told = capsys.readouterr().err
    assert "still starting" not in told
    assert all(part["log"] in told for part in parts)
