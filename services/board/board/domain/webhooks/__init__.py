"""Outgoing webhooks: their configuration, bodies, signatures and retries. Pure (docs/integrations/webhooks.md)."""
