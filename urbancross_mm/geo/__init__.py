"""Georeferenced rasters, and positions on the globe."""
