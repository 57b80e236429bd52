"""The unprivileged accounts that engines run as when the stack is started by root."""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

FALLBACK = Path("/var/lib/production-tool")
"""Where data goes when an unprivileged account cannot reach the checkout (a checkout in /root, say)."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of this machine that a process is started as."""

    name: str
    uid: int
    gid: int


def account_for(*names: str) -> Account | None:
    """Give the first of these users that exists, else `nobody`; None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    entry = pwd.getpwnam("nobody")
    return Account(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)


def run_as(account: Account | None, death_signal: Signals) -> list[str]:
    """Give the command prefix that drops to the account and dies with its parent.

    setpriv sets the parent-death signal after the change of user, which would clear it.
    """
    prefix = ["setpriv", "--pdeathsig", death_signal.name.removeprefix("SIG")]
    if account is not None:
        prefix += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return [*prefix, "--"]


def can_reach(account: Account | None, folder: Path) -> bool:
    """Tell whether the account can enter and read a folder."""
    if account is None:
        return os.access(folder, os.R_OK | os.X_OK)
    test = [*run_as(account, Signals.SIGKILL), "test", "-r", str(folder), "-a", "-x", str(folder)]
    return subprocess.run(test, check=False, cwd="/").returncode == 0


def open_folder(folder: Path) -> None:
    """Create a folder, and what is missing above it, so that every account can pass through."""
    for missing in [*reversed([parent for parent in folder.parents if not parent.exists()]), folder]:
        if not missing.exists():
            missing.mkdir()
            missing.chmod(0o755)


def give_folder(folder: Path, account: Account | None) -> None:
    """Create a folder that only the account can enter, and hand it over whole."""
    open_folder(folder)
    folder.chmod(0o700)
    if account is not None and folder.stat().st_uid != account.uid:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def reachable(folder: Path, accounts: list[Account | None]) -> Path:
    """Give the folder itself, or its stand-in under /var/lib where one of the accounts cannot reach it."""
    open_folder(folder)
    if all(can_reach(account, folder) for account in accounts):
        return folder
    stand_in = fallback_for(folder)
    open_folder(stand_in)
    return stand_in


def fallback_for(folder: Path) -> Path:
    """Name the stand-in of a folder: always the same for the same folder."""
    return FALLBACK / hashlib.sha256(str(folder).encode()).hexdigest()[:12] / folder.name


def readable_copy(folder: Path, account: Account | None) -> Path:
    """Give the folder itself, or a copy where the account can read it."""
    if can_reach(account, folder):
        return folder
    copy = fallback_for(folder)
    if not copy.exists() or {path.name for path in copy.iterdir()} != {path.name for path in folder.iterdir()}:
        shutil.rmtree(copy, ignore_errors=True)
        open_folder(copy.parent)
        shutil.copytree(folder, copy)
    return copy
