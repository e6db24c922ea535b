"""Webhooks: a payload of a PSA tool in, what our tickets and events must become out. Pure."""
