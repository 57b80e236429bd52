"""PostgreSQL, run natively."""

import contextlib
import os
import re
import subprocess
from pathlib import Path
from signal import Signals

import psycopg

from local_stack.account import Account, run_as
from local_stack.certificates import Certificate
from local_stack.failure import StackFailure
from local_stack.part import NativeEngine
from local_stack.port import HOST
from local_stack.process import Child

NAME = "postgresql"
OLDEST = 15
SUPERUSER = "postgres"
REMEDY = "run deploy/local/setup, or install the package postgresql"


class PostgreSQL(NativeEngine):
    """One server whose superuser has a password and that listens on loopback TCP only."""

    name = NAME

    def __init__(
        self,
        *,
        data: Path,
        log: Path,
        port: int,
        durable: bool,
        account: Account | None,
        password: str,
        certificate: Certificate | None = None,
    ) -> None:
        """Describe the server. With `durable=False` a crash of the machine may lose data; a crash of the server not.

        With a certificate it takes nobody without TLS; `tls_versions` are the oldest and the newest that it speaks.
        """
        super().__init__(data=data, log=log, port=port, durable=durable, account=account)
        self.password = password
        self.certificate = certificate
        self.tls_versions = ("TLSv1.3", "TLSv1.3")
        self.cluster = data / "cluster"

    def prepare(self) -> None:
        """Create the cluster at the first start; write the certificate, should there be one."""
        super().prepare()
        if self.certificate is not None:
            self.write("cert.pem", self.certificate.certificate)
            self.write("key.pem", self.certificate.key)
            self.write("hba.conf", f"hostssl all all {HOST}/32 scram-sha-256\n")
        if (self.cluster / "PG_VERSION").exists():
            return
        password_file = self.data / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if self.account is not None:
            os.chown(password_file, self.account.uid, self.account.gid)
        command = [
            *run_as(self.account, Signals.SIGKILL),
            str(binaries(self.cluster) / "initdb"),
            f"--pgdata={self.cluster}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        if not self.durable:
            command.append("--no-sync")
        done = subprocess.run(command, text=True, capture_output=True, cwd="/", check=False)
        password_file.unlink()
        if done.returncode != 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a") as log:
                log.write(done.stdout + done.stderr)
            raise StackFailure(
                part=self.name,
                problem="its data folder could not be created",
                log=self.log,
                remedy="read the log above",
            )

    def make_child(self) -> Child:
        """SIGINT is the fast shutdown; SIGQUIT, should our own process be killed, the immediate one."""
        own = {"port": str(self.port), "listen_addresses": HOST, "unix_socket_directories": ""}
        settings = options(own | server_settings(durable=self.durable) | self._tls_settings())
        return Child(
            self.name,
            [str(binaries(self.cluster) / "postgres"), "-D", str(self.cluster), *settings],
            log=self.log,
            folder=Path("/"),
            account=self.account,
            stop_signal=Signals.SIGINT,
            death_signal=Signals.SIGQUIT,
        )

    def _tls_settings(self) -> dict[str, str]:
        if self.certificate is None:
            return {}
        oldest, newest = self.tls_versions
        return {
            "ssl": "on",
            "ssl_cert_file": str(self.data / "cert.pem"),
            "ssl_key_file": str(self.data / "key.pem"),
            "ssl_min_protocol_version": oldest,
            "ssl_max_protocol_version": newest,
            "hba_file": str(self.data / "hba.conf"),
        }

    def kill(self) -> None:
        """Crash by the immediate shutdown: killed alone, the postmaster's children would outlive it for a moment."""
        self.child.signal(Signals.SIGQUIT)
        self.resume()
        if not self.child.wait(10):
            self.child.kill()

    def pause(self) -> None:
        """Freeze every process of the server: those that serve connections would go on by themselves."""
        super().pause()
        self._signal_servers(Signals.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_servers(Signals.SIGCONT)
        super().resume()

    def stop(self) -> None:
        """Shut the server down in order, a paused one too."""
        if self.alive:
            self.resume()
        super().stop()

    def _signal_servers(self, number: Signals) -> None:
        for pid in children_of(self.child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def answers(self) -> bool:
        """Log in."""
        return takes_log_in(self.port, self.password)


def children_of(parent: int) -> list[int]:
    """List the processes that a process has started (proc(5): the fourth field of `stat` is the parent)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def server_settings(*, durable: bool) -> dict[str, str]:
    """Give what the server is told, wherever it runs."""
    keeps = "on" if durable else "off"
    return {
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": keeps,
        # Always: off, a commit that was answered waits in the server's own memory and is lost when it crashes. Without
        # fsync it costs no more than handing the log to the operating system.
        "synchronous_commit": "on",
        "full_page_writes": keeps,
    }


def options(settings: dict[str, str]) -> list[str]:
    """Write settings as arguments of `postgres`."""
    return [option for name, setting in settings.items() for option in ("-c", f"{name}={setting}")]


def takes_log_in(port: int, password: str) -> bool:
    """Tell whether the superuser can log in."""
    try:
        psycopg.connect(
            host=HOST, port=port, user=SUPERUSER, password=password, dbname="postgres", connect_timeout=2
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def binaries(cluster: Path) -> Path:
    """Find the server's programs: of the version that wrote the data folder, else the newest there is.

    Raises StackFailure where there is none.
    """
    found = {
        int(folder.parent.name): folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "postgres").exists()
    }
    written_by = cluster / "PG_VERSION"
    if written_by.exists():
        version = int(re.split(r"\D", written_by.read_text())[0])
        if version not in found:
            raise StackFailure(
                part=NAME,
                problem=f"the data in {cluster} are of PostgreSQL {version}, which is not installed",
                remedy=f"install postgresql-{version}, or give the data up with `make clean`",
            )
        return found[version]
    newest = max(found, default=0)
    if newest < OLDEST:
        raise StackFailure(part=NAME, problem=f"no PostgreSQL {OLDEST} or newer is installed", remedy=REMEDY)
    return found[newest]
