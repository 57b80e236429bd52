"""Apache Kafka, run natively: one node in KRaft mode, broker and controller.

Whoever comes logs in, and may do what an ACL allows. Two super users stand in the node's own settings, since nobody
could log in to make the first user: the broker, by whose name it speaks to itself, and the provisioning job. All others
are users with SCRAM credentials, which that job makes.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from types import MappingProxyType

from local_stack.account import Account, readable_copy, run_as
from local_stack.certificates import Certificate
from local_stack.credentials import Credentials
from local_stack.failure import StackFailure
from local_stack.part import NativeEngine
from local_stack.port import HOST, listens
from local_stack.process import Child
from production_contracts.principals import PROVISIONING

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
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,OPEN:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
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
"""What one node in KRaft mode needs, wherever it runs; its addresses and super users are added to it."""

BROKER = "broker"
_LOGIN = "org.apache.kafka.common.security"
_SCRAM = f"{_LOGIN}.scram.ScramLoginModule required;"


def access_settings(credentials: Credentials, *, is_open: bool) -> dict[str, str]:
    """Say who is a super user and how they log in; at an open listener everybody is one, without logging in."""
    super_users = [f"User:{BROKER}", f"User:{PROVISIONING}", *(["User:ANONYMOUS"] if is_open else [])]
    users = {name: credentials.of_principal(name) for name in (BROKER, PROVISIONING)}
    plain = f'{_LOGIN}.plain.PlainLoginModule required username="{BROKER}" password="{users[BROKER]}"'
    plain += "".join(f' user_{name}="{password}"' for name, password in users.items()) + ";"
    return {
        "super.users": ";".join(super_users),
        "listener.name.clients.plain.sasl.jaas.config": plain,
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "listener.name.clients.scram-sha-512.sasl.jaas.config": _SCRAM,
    }


def door_settings(door: str) -> dict[str, str]:
    """Let clients log in at a listener that stands behind a proxy."""
    listener = f"listener.name.{door.lower()}"
    return {
        f"{listener}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"{listener}.scram-sha-512.sasl.jaas.config": _SCRAM,
        f"{listener}.num.network.threads": "1",
    }


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
        open_port: int | None,
        durable: bool,
        account: Account | None,
        jars: Path,
        credentials: Credentials,
        certificate: Certificate | None = None,
    ) -> None:
        """Describe the node; `jars` is the folder with Kafka's own jars. Nobody has to log in at `open_port`.

        With a certificate clients, and the node itself, come by TLS of the versions in `tls_versions`.
        """
        super().__init__(data=data, log=log, port=port, durable=durable, account=account)
        self.controller_port = controller_port
        self.open_port = open_port
        self.credentials = credentials
        self.jars = jars
        self.certificate = certificate
        self.tls_versions = "TLSv1.3"
        self.doors: Mapping[int, int] = {}
        """Ports to listen on besides its own, each advertised as another: where a proxy stands before Kafka."""

    def prepare(self) -> None:
        """Write the settings, and format the storage at the first start."""
        super().prepare()
        self.write("log4j2.properties", LOGGING)
        listeners = {"CLIENTS": (self.port, self.port)}
        if self.open_port is not None:
            listeners["OPEN"] = (self.open_port, self.open_port)
        listeners |= {f"DOOR{port}": (port, advertised) for port, advertised in self.doors.items()}
        settings = SETTINGS | access_settings(self.credentials, is_open=self.open_port is not None)
        for port in self.doors:
            settings |= door_settings(f"DOOR{port}")
        doors = "".join(f",DOOR{port}:SASL_PLAINTEXT" for port in self.doors)
        settings |= {
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": ",".join(
                [
                    *(f"{name}://{HOST}:{port}" for name, (port, _) in listeners.items()),
                    f"CONTROLLER://{HOST}:{self.controller_port}",
                ]
            ),
            "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, (_, port) in listeners.items()),
            "listener.security.protocol.map": SETTINGS["listener.security.protocol.map"] + doors,
            "log.dirs": f"{self.data}/log",
        }
        settings |= self._tls_settings(settings)
        self.write("server.properties", "".join(f"{name}={setting}\n" for name, setting in settings.items()))
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

    def _tls_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        if self.certificate is None:
            return {}
        keys = self.write("keystore.pem", self.certificate.key + self.certificate.certificate)
        trusted = self.write("truststore.pem", self.certificate.ca)
        protocols = settings["listener.security.protocol.map"].replace("CLIENTS:SASL_PLAINTEXT", "CLIENTS:SASL_SSL")
        return {
            "listener.security.protocol.map": protocols,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keys),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(trusted),
            "ssl.enabled.protocols": self.tls_versions,
            "ssl.protocol": self.tls_versions,
        }

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
