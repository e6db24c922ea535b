"""The timer's tables, and every query on them. Nothing here commits."""
