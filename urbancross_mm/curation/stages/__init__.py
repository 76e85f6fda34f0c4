"""The stages of a curation, one per module."""
