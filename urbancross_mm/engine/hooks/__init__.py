"""Hooks, one per module."""
