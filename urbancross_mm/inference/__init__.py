"""Build, load and encode once, for every client."""
