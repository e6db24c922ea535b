"""The machine of a run, without anything that names it."""

import platform
from pathlib import Path

import psutil
from tocsin_local.jars import locked
from tocsin_local.postgres import jar_bundle


def describe_machine() -> dict[str, str]:
    return {
        "cores": str(psutil.cpu_count()),
        "CPU": _cpu_model(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "PostgreSQL": locked(jar_bundle())[0].version,
        "Kafka": next(jar.version for jar in locked("kafka") if jar.artifact.startswith("kafka_")),
    }


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
