"""The search service: an API, a page with a map and raster tiles, by FastAPI."""
