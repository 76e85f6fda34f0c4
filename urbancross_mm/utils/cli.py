"""What every command-line tool does around its work."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

EXPECTED = (ValueError, KeyError, OSError, ImportError, FloatingPointError)


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool; a user's mistake ends in one sentence on stderr and exit code 2.

    Set ``URBANCROSS_TRACEBACK=1`` to see where it came from.

    Args:
        main (Callable): The tool; its return value, if any, is the exit code.
    """
    try:
        code = main()
    except EXPECTED as error:
        if isinstance(error, BrokenPipeError) and not _reader_is_there():
            sys.exit(141)  # as a shell says it: the work is not finished
        if os.environ.get('URBANCROSS_TRACEBACK'):
            raise
        # str() of a KeyError is the repr of its message.
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sentence = ' '.join(str(message).split()) or repr(error)
        print(f'error: {sentence}', file=sys.stderr)
        sys.exit(2)
    except TypeError as error:
        if os.environ.get('URBANCROSS_TRACEBACK') or not _is_of_a_config(error):
            raise
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    _reader_is_there()
    sys.exit(code or 0)


def _reader_is_there() -> bool:
    """Whether anybody still reads what is printed: ``head`` stops. If not, no more is printed."""
    try:
        sys.stdout.flush()
        # Without a buffer there is nothing left to fail; the pipe knows.
        ends = select.poll()
        ends.register(sys.stdout, 0)
        if not any(event & select.POLLERR for _, event in ends.poll(0)):
            return True
    except BrokenPipeError:
        pass
    except (AttributeError, OSError, ValueError):  # a system without poll, or no real stdout
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False


def _is_of_a_config(error: TypeError) -> bool:
    """Whether a component was called from a config with other arguments than it takes."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None \
        and trace.tb_frame.f_globals.get('__name__') == 'mmengine.registry.build_functions'
