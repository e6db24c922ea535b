"""Tickets of the read model: load them as `BoardTicket` values."""
