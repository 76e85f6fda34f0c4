"""Captioners, scorers, and the cleaning of captions."""
