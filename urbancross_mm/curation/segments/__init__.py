"""Segmenters, and the choice of segments."""
