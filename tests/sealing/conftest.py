"""A running whole whose keys are changed and destroyed, and whose every trace is looked through: one for all here."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import pytest

from local_stack.checkout import ROOT
from local_stack.clients.tenant import Tenant
from local_stack.environment import MASTER, keys_environment
from local_stack.system import System
from local_stack.testing import temporary_folder
from servicekit.masters import LocalMaster, Masters
from servicekit.vault import read_key

FRESH_SECONDS = "0.5"
DEBUG = {"LOG_LEVEL": "debug"}
LEGACY_KID, LEGACY_KEY = "before", secrets.token_bytes(32)
LEGACY = json.dumps({LEGACY_KID: base64.b64encode(LEGACY_KEY).decode()})


@pytest.fixture(scope="session")
def whole() -> Iterator[System]:
    """A whole of our own, whose gateway looks often whether keys have changed, and whose logs leave nothing out."""
    folder = temporary_folder()
    changes: Mapping[str, Mapping[str, str]] = {
        "gateway": DEBUG | {"KEYS_FRESH_SECONDS": FRESH_SECONDS, "SEAL_KEYS": LEGACY},
        "booking": DEBUG,
        "tenancy": DEBUG,
        "notifications": DEBUG,
    }
    try:
        with System(folder, changes=changes) as system:
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def masters(whole: System) -> Masters:
    """The master key of that whole."""
    key = read_key(whole.engines.credentials.master_key)
    assert isinstance(key, bytes)
    return Masters([LocalMaster(MASTER, key)])


@pytest.fixture
def new_tenant(whole: System, session: aiohttp.ClientSession) -> Callable[[], Tenant]:
    """`new_tenant()`: a tenant of that whole."""
    return lambda: Tenant(name=f"t{secrets.token_hex(8)}", at=whole.at, session=session)


@pytest.fixture
def keys_job(whole: System) -> Callable[..., str]:
    """`keys_job("rotate", master_keys=...)`: run ``python -m tenancy keys``, and give what it says."""

    def run(*words: str, **settings: str) -> str:
        environment = keys_environment(whole.engines.addresses, whole.services.environment["tenancy"])
        environment |= {f"TENANCY_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "tenancy", "keys", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
