"""Reading this process's metrics."""

from prometheus_client import REGISTRY


def counter_value(name: str, **labels: str) -> float:
    """The value of a counter, or of a gauge, with exactly these labels; 0 if it was never set."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
