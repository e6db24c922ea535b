"""Intake's tables and all queries on them. Nothing here commits: the caller owns the transaction."""
