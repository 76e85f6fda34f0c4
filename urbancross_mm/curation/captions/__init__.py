"""Captions: how they are written, refined and scored."""
