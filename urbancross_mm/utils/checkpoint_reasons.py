"""Why a checkpoint cannot be read, in a sentence of ours."""

from __future__ import annotations

import re
import textwrap


def reason_of(error: Exception) -> str:
    """What torch's safe loader found; its own advice is to read unsafely.

    Args:
        error (Exception): As it was raised.

    Returns:
        str: The end of a sentence.
    """
    text = ' '.join(str(error).split())
    refused = re.search(r'GLOBAL (\S+)', text) or re.search(
        r"<(?:class|function|built-in function) '?([\w.]+)", text
    )
    if refused:
        return (
            f'it holds {shortened(refused[1])}, which is no plain data and could run code; '
            'save its state_dict alone, or give --trust-checkpoint if the file is your own'
        )
    if 'TorchScript' in text:
        return 'it is a TorchScript archive, which is a program; save its state_dict() instead'
    if 'legacy .tar' in text:
        return 'it has the tar format of torch before 0.1.10; save it again with a newer torch'
    text = text.partition('WeightsUnpickler error: ')[2] or text
    text = text.partition(' Check the documentation of torch.load')[0]
    return f'it is damaged, or no file of torch.save ({shortened(text)})'


def shortened(text: object) -> str:
    """A text that may quote whatever stands in a file, for a terminal.

    Args:
        text (object): Any.

    Returns:
        str: One printable line of at most 120 letters.
    """
    return ''.join(sign if sign.isprintable() else '?' for sign in textwrap.shorten(str(text), 120))
