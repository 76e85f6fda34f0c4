"""The toy world: generated data that every config runs on.

:func:`ensure_sample` is the entry. ``world`` draws it, ``convert`` converts it as a user would.
"""

from urbancross_mm.toy.ensure import SAMPLE_ROOT, ensure_sample

__all__ = ['SAMPLE_ROOT', 'ensure_sample']
