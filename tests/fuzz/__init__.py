"""Mutated files through the functions of the tools."""
