"""The board's metrics (docs/metrics.md#board)."""
