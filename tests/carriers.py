"""Objects that run code when they are unpickled, as a hostile checkpoint would carry them."""

import os
import subprocess
from pathlib import Path
from typing import Any

import torch


def _calls(kind: str, mark: Path) -> tuple[Any, tuple]:
    return {
        'system': (os.system, (f'touch {mark}',)),
        'eval': (eval, (f'open({str(mark)!r}, "w").close()',)),
        'exec': (exec, (f'open({str(mark)!r}, "w").close()',)),
        'popen': (subprocess.Popen, (['touch', str(mark)],)),
        'getattr': (getattr, (torch.nn.Module, 'register_buffer')),
        'open': (open, (str(mark), 'w')),
        'module': (torch.nn.Linear, (1, 1)),
        'class': (Mark, (str(mark),)),
    }[kind]


CARRIERS = ('system', 'eval', 'exec', 'popen', 'getattr', 'open', 'module', 'class')


class Mark:
    """Writes a file when it is built."""

    def __init__(self, mark: str) -> None:
        Path(mark).touch()


class Carrier:
    """Writes ``mark``, or would if it could, when it is unpickled."""

    def __init__(self, kind: str, mark: Path) -> None:
        self.kind, self.mark = kind, mark

    def __reduce__(self) -> tuple[Any, tuple]:
        return _calls(self.kind, self.mark)
