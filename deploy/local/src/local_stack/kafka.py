"""Apache Kafka, run natively: one node in KRaft mode, broker and controller."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from types import MappingProxyType

from local_stack.account import Account, readable_copy, run_as
from local_stack.failure import StackFailure
from local_stack.part import NativeEngine
from local_stack.port import HOST, listens
from local_stack.process import Child

NAME = "kafka"
OLDEST_JAVA = 17
CLUSTER_ID = "bG9jYWwtc3RhY2sta2Fma2"
"""22 characters of base64, as Kafka wants it; the same for every local cluster, which talks to no other."""

STARTED = "Kafka Server started"

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %m (%c{1})%n
"""

SETTINGS = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
)
"""What one node in KRaft mode needs, wherever it runs; its addresses are added to it."""


class Kafka(NativeEngine):
    """One node; topics exist only once they are created."""

    name = NAME

    def __init__(
        self,
        *,
        data: Path,
        log: Path,
        port: int,
        controller_port: int,
        durable: bool,
        account: Account | None,
        jars: Path,
    ) -> None:
        """Describe the node; `jars` is the folder with Kafka's own jars."""
        super().__init__(data=data, log=log, port=port, durable=durable, account=account)
        self.controller_port = controller_port
        self.jars = jars
        self.doors: Mapping[int, int] = {}
        """Ports to listen on besides its own, each advertised as another: where a proxy stands before Kafka."""

    def prepare(self) -> None:
        """Write the settings, and format the storage at the first start."""
        super().prepare()
        self._write("log4j2.properties", LOGGING)
        own = f"PLAINTEXT://{HOST}:{self.port}"
        doors = {f"DOOR{port}": (port, advertised) for port, advertised in self.doors.items()}
        settings = SETTINGS | {
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": ",".join(
                [
                    own,
                    *(f"{door}://{HOST}:{port}" for door, (port, _) in doors.items()),
                    f"CONTROLLER://{HOST}:{self.controller_port}",
                ]
            ),
            "advertised.listeners": ",".join(
                [own, *(f"{door}://{HOST}:{advertised}" for door, (_, advertised) in doors.items())]
            ),
            "listener.security.protocol.map": ",".join(
                [SETTINGS["listener.security.protocol.map"], *(f"{door}:PLAINTEXT" for door in doors)]
            ),
            **{f"listener.name.{door.lower()}.num.network.threads": "1" for door in doors},
            "log.dirs": f"{self.data}/log",
        }
        self._write("server.properties", "".join(f"{name}={setting}\n" for name, setting in settings.items()))
        if (self.data / "log" / "meta.properties").exists():
            return
        command = [*self._java("64m", brief=True), "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID]
        command += ["--ignore-formatted", "--config", str(self.data / "server.properties")]
        done = subprocess.run(
            [*run_as(self.account, Signals.SIGKILL), *command],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a") as log:
                log.write(done.stdout + done.stderr)
            raise StackFailure(
                part=self.name, problem="its storage could not be formatted", log=self.log, remedy="read the log"
            )

    def make_child(self) -> Child:
        """Run with a small heap."""
        command = [*self._java("512m", brief=not self.durable), "kafka.Kafka", str(self.data / "server.properties")]
        return Child(self.name, command, log=self.log, folder=Path("/"), account=self.account)

    def answers(self) -> bool:
        """Kafka says that it has started only when the broker is registered and unfenced; then it listens too."""
        return STARTED in self.child.output() and listens(self.port)

    def _write(self, name: str, content: str) -> None:
        path = self.data / name
        path.write_text(content)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def _java(self, heap: str, *, brief: bool) -> list[str]:
        if not any(self.jars.glob("kafka_*.jar")):
            raise StackFailure(
                part=self.name, problem=f"its jars are not in {self.jars}", remedy="run deploy/local/setup"
            )
        jars = readable_copy(self.jars, self.account)
        return [
            java(),
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            # The second compiler pays off in a broker that runs for long; to start, it costs a third more CPU.
            *(["-XX:TieredStopAtLevel=1"] if brief else []),
            "-Xshare:auto",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.data / 'log4j2.properties'}",
            "-cp",
            f"{jars}/*",
        ]


def java() -> str:
    """Find a Java that Kafka runs on; raises StackFailure where there is none."""
    remedy = f"run deploy/local/setup, or install a JRE of version {OLDEST_JAVA} or newer"
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin" if home else None)
    if program is None:
        raise StackFailure(part=NAME, problem="no Java is installed", remedy=remedy)
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        first = said.splitlines()[0] if said else "nothing"
        raise StackFailure(part=NAME, problem=f"{program} is too old ({first})", remedy=remedy)
    return program
