"""Build, load and encode in one place."""
