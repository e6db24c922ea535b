"""One function per use case: load, decide, save. Handlers neither commit nor read a clock: their caller does."""
