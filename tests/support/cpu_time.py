"""The CPU time of a server, with its children."""

import psutil


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU time so far of a process and of its children, including those that have ended."""
    process = psutil.Process(pid)
    ended = process.cpu_times()
    total = float(ended.children_user + ended.children_system)
    for each in (process, *process.children(recursive=True)):
        times = each.cpu_times()
        total += times.user + times.system
    return total
