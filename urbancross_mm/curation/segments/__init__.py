"""Segments of an image: how they are made and chosen."""
