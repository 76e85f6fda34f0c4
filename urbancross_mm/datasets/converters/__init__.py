"""From published layouts to the one annotation format. Modules are imported by name."""

from urbancross_mm.datasets.converters.sample import convert_sample, is_converted

__all__ = ['convert_sample', 'is_converted']
