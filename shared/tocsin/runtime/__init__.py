"""The machinery under every service: settings, databases, Kafka, HTTP, and the one way data move between services."""
