"""The engines as containers, for tests on machines with a Docker engine (testcontainers)."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from testcontainers.core.container import DockerContainer

from local_stack import kafka, postgres, redis_server
from local_stack.engines import Place, Trio, native
from local_stack.part import Part
from local_stack.port import HOST, listens
from local_stack.process import Child

POSTGRES_IMAGE = "postgres:15"
REDIS_IMAGE = "redis:7"
KAFKA_IMAGE = "apache/kafka:4.1.0"
_OPEN_PORT = 9094
IMAGES = (POSTGRES_IMAGE, REDIS_IMAGE, KAFKA_IMAGE)


class Container(Part):
    """An engine in a container; a stop keeps its data, a discard removes it."""

    def __init__(self, container: DockerContainer, *, inner_port: int, port: int, log: Path) -> None:
        """Describe the container; its port is published on loopback only."""
        # with_bind_ports takes no address; docker-py, which the table is handed to, does.
        container.ports[f"{inner_port}/tcp"] = (HOST, port)  # type: ignore[assignment]
        self.container = container
        self.port = port
        self.log = log
        self.starts = 0

    @property
    def alive(self) -> bool:
        """Whether the container runs."""
        if self.starts == 0:
            return False
        self.container.reload()
        runs = self.container.status in {"running", "paused"}
        if not runs:
            self._write_log()
        return runs

    @property
    def exit_code(self) -> int | None:
        """How the last run ended."""
        if self.alive:
            return None
        state = self.container.get_wrapped_container().attrs["State"]
        return int(state["ExitCode"])

    def output(self) -> str:
        """What the container has written, in all its runs."""
        return b"".join(self.container.get_logs()).decode(errors="replace")

    def begin(self) -> None:
        """Create the container at the first start; start it."""
        if self.starts == 0:
            self.container.start()
        else:
            self.container.get_wrapped_container().start()
        self.starts += 1

    def stop(self) -> None:
        """Shut the engine down in order."""
        if self.alive:
            self.resume()
            self.container.get_wrapped_container().stop(timeout=20)
            self._write_log()

    def kill(self) -> None:
        """SIGKILL."""
        self.container.get_wrapped_container().kill()
        self.container.get_wrapped_container().wait()

    def pause(self) -> None:
        """Freeze the container."""
        self.container.get_wrapped_container().pause()

    def resume(self) -> None:
        """Let a paused container go on."""
        self.container.reload()
        if self.container.status == "paused":
            self.container.get_wrapped_container().unpause()

    def discard(self) -> None:
        """Remove the container with its data."""
        if self.starts > 0:
            self.container.stop()
            self.starts = 0

    def make_child(self) -> Child:
        """There is none: Docker runs the process."""
        raise NotImplementedError

    def _write_log(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text(self.output())


class PostgresContainer(Container):
    """PostgreSQL."""

    name = postgres.NAME

    def __init__(self, place: Place) -> None:
        """Describe the container."""
        settings = postgres.options(postgres.server_settings(durable=place.durable))
        container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_PASSWORD", place.credentials.postgres)
            .with_env("POSTGRES_INITDB_ARGS", "--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8")
            .with_command(["postgres", *settings])
        )
        super().__init__(container, inner_port=5432, port=place.ports.postgres, log=place.logs / f"{postgres.NAME}.log")
        self.password = place.credentials.postgres

    def answers(self) -> bool:
        """Log in over TCP, which the server that initialises the cluster does not take."""
        return postgres.takes_log_in(self.port, self.password)


class RedisContainer(Container):
    """Redis."""

    name = "redis"

    def __init__(self, place: Place) -> None:
        """Describe the container."""
        keeps = "yes" if place.durable else "no"
        command = ["redis-server", "--appendonly", keeps, "--save", "", "--databases", str(redis_server.DATABASES)]
        for line in redis_server.users_file(place.credentials).splitlines():
            command += [f"--{line.partition(' ')[0]}", *line.split()[1:]]
        container = DockerContainer(REDIS_IMAGE).with_command(command)
        super().__init__(container, inner_port=6379, port=place.ports.redis, log=place.logs / "redis.log")
        self.credentials = place.credentials

    def answers(self) -> bool:
        """PING."""
        return redis_server.answers_ping(self.port, self.credentials)


class KafkaContainer(Container):
    """Kafka."""

    name = kafka.NAME

    def __init__(self, place: Place) -> None:
        """Describe the container: the settings of the native node, with a container's addresses."""
        inside, outside = "CLIENTS://:9092", f"CLIENTS://{HOST}:{place.ports.kafka}"
        if place.kafka_open_port is not None:
            inside += f",OPEN://:{_OPEN_PORT}"
            outside += f",OPEN://{HOST}:{place.kafka_open_port}"
        settings = kafka.SETTINGS | kafka.access_settings(place.credentials, is_open=place.kafka_open_port is not None)
        settings |= {
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": f"{inside},INNER://localhost:9095,CONTROLLER://:9093",
            "advertised.listeners": f"{outside},INNER://localhost:9095",
            # The node speaks to itself to end a transaction, and from within it can't reach what is published outside.
            "inter.broker.listener.name": "INNER",
            "listener.security.protocol.map": settings["listener.security.protocol.map"] + ",INNER:SASL_PLAINTEXT",
            "listener.name.inner.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.inner.plain.sasl.jaas.config": settings["listener.name.clients.plain.sasl.jaas.config"],
        }
        container = DockerContainer(KAFKA_IMAGE).with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        for name, setting in settings.items():
            container = container.with_env(_variable(name), setting)
        if place.kafka_open_port is not None:
            container.ports[f"{_OPEN_PORT}/tcp"] = (HOST, place.kafka_open_port)  # type: ignore[assignment] # as above
        super().__init__(container, inner_port=9092, port=place.ports.kafka, log=place.logs / f"{kafka.NAME}.log")

    def answers(self) -> bool:
        """Kafka says once per start that it has started."""
        return self.output().count(kafka.STARTED) >= self.starts and listens(self.port)


def _variable(name: str) -> str:
    """Name the variable from which the image makes a setting of Kafka."""
    return f"KAFKA_{name.upper().replace('-', '___').replace('.', '_')}"


def in_containers(place: Place) -> Trio:
    """Make the engines as containers."""
    return Trio(postgres=PostgresContainer(place), redis=RedisContainer(place), kafka=KafkaContainer(place))


@cache
def engine_kind() -> str:
    """Tell how tests run the engines: `containers` where Docker answers and has, or gets, the images; else `native`.

    `STACK_ENGINES` decides instead where it is set.
    """
    chosen = os.environ.get("STACK_ENGINES")
    if chosen in {"native", "containers"}:
        return chosen
    answers = docker("version", seconds=10)
    has_images = answers and all(
        docker("image", "inspect", image, seconds=10) or docker("pull", image) for image in IMAGES
    )
    return "containers" if has_images else "native"


def docker(*words: str, seconds: float = 300) -> bool:
    """Tell whether the command line of Docker is there and succeeds in time."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", *words], capture_output=True, check=False, timeout=seconds).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def for_tests(place: Place) -> Trio:
    """Make the engines of this machine's kind."""
    return in_containers(place) if engine_kind() == "containers" else native(place)
