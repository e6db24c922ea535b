"""Webhooks: from the payload of a PSA tool to the tickets and events that follow from it. Pure."""
