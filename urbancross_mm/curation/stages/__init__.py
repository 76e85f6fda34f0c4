"""One stage of a curation per module."""
