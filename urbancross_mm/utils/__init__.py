"""Helpers that know nothing of retrieval. Modules are imported by name; this file stays empty."""
