"""Every exception ends as one line that says what is wrong."""

from typing import Any

import mmengine.optim  # noqa: F401  registers torch's optimizers
import pytest
import torch
from mmengine.registry import OPTIMIZERS, Registry
from torch.utils.data import DataLoader, Dataset

from urbancross_mm.registry import MODELS
from urbancross_mm.utils.error_sentence import LONGEST, sentence_of


def caught(work: Any) -> BaseException:
    with pytest.raises(Exception) as info:  # noqa: B017  any kind
        work()
    return info.value


class Failing(Dataset):
    """Raises in a worker."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        try:
            raise OSError('the first cause')
        except OSError as cause:
            raise self.error from cause


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (
            ValueError('image a.jpg cannot be decoded: it is cut'),
            'image a.jpg cannot be decoded: it is cut',
        ),
        (ValueError('two\nlines: of text'), 'two lines: of text'),
        (KeyError('img_path'), "the key 'img_path' is missing"),
        (KeyError("no field 'x' in b.json"), "no field 'x' in b.json"),
        (RuntimeError('odd'), 'RuntimeError: odd (URBANCROSS_TRACEBACK=1 shows where)'),
    ],
)
@pytest.mark.parametrize('workers', [0, 1])
def test_a_worker_says_the_same_sentence(error: Exception, sentence: str, workers: int) -> None:
    assert (
        sentence_of(caught(lambda: list(DataLoader(Failing(error), num_workers=workers))))
        == sentence
    )


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (KeyError('img_path'), "the key 'img_path' is missing"),
        (KeyError(3), 'the key 3 is missing'),
        (KeyError("'lr' of it is odd"), "'lr' of it is odd"),
        (KeyError('"name'), "the key '\"name' is missing"),
        (KeyError(), 'KeyError'),
        (ValueError(), 'ValueError'),
        (
            FileNotFoundError(2, 'No such file or directory', 'a.json'),
            'a.json: No such file or directory',
        ),
        (ValueError('\x1b[31mred\x1b[0m  text'), 'red text'),
    ],
)
def test_plain_exceptions(error: Exception, sentence: str) -> None:
    assert sentence_of(error) == sentence


def test_a_long_message_ends_at_a_word() -> None:
    sentence = sentence_of(ValueError('word ' * 1000))
    assert sentence.endswith('word ... (URBANCROSS_TRACEBACK=1 shows all)')
    assert len(sentence) < LONGEST + 50


@pytest.mark.parametrize('value', ['abc', -1.0])
def test_a_foreign_error_names_the_component_and_its_settings(value: Any) -> None:
    parameters = torch.nn.Linear(1, 1).parameters()
    error = caught(lambda: OPTIMIZERS.build(dict(type='Adam', params=parameters, lr=value)))
    assert sentence_of(error).startswith(f'Adam(lr={value!r}) cannot be built: ')


@pytest.mark.parametrize(
    'name, hint', [('leaning', "did you mean 'learning'?"), ('x', 'it takes learning, decay')]
)
def test_a_setting_with_a_wrong_name(name: str, hint: str) -> None:
    def optimizer(learning: float = 0.1, decay: float = 0.0) -> None: ...

    registry = Registry('part')
    registry.register_module(name='optimizer', module=optimizer)
    said = sentence_of(caught(lambda: registry.build({'type': 'optimizer', name: 1})))
    assert f'{name!r}; {hint}' in said


def test_a_wrong_name_behind_a_metaclass() -> None:
    error = caught(lambda: MODELS.build(dict(type='CrossModalRetriever', gradient_cach=4)))
    assert sentence_of(error).endswith("'gradient_cach'; did you mean 'gradient_cache'?")


def test_what_a_library_checks_and_names_is_a_sentence() -> None:
    def check(size: Any) -> None:
        assert isinstance(size, int), f'size must be a number, got {size}'
        raise TypeError('one of two lines')

    assert sentence_of(caught(lambda: check('a'))).startswith('size must be a number, got a')
    assert sentence_of(caught(lambda: check(1))) == 'one of two lines'
    assert sentence_of(caught(lambda: check(1, nope=2))).endswith(
        "check() got an unexpected keyword argument 'nope'"
    )
    assert sentence_of(caught(lambda: len(3))).endswith('(URBANCROSS_TRACEBACK=1 shows where)')


def test_a_long_name_is_not_lost() -> None:
    sentence = sentence_of(FileNotFoundError('no checkpoint at ' + 'x' * 5000))
    assert sentence.startswith('no checkpoint at xxxxx')
    assert len(sentence) < LONGEST + 50
