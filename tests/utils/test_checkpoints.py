"""Checkpoints are read without running what they carry."""

from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from urbancross_mm.utils.checkpoints import check_checkpoint, compare_state_dicts, read_checkpoint


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return eval, ('open("touched", "w").close()',)


class Sly:
    """Reaches for a class through getattr."""

    def __reduce__(self) -> tuple:
        return getattr, (torch.zeros(1), '__class__')


def test_a_message_hub_is_plain_data(tmp_path: Path) -> None:
    hub = MessageHub.get_instance('test_checkpoints')
    hub.update_scalar('train/loss', 1.5)
    hub.update_info('best_score', 3.0)
    torch.save(dict(state_dict={'w': torch.ones(2)}, message_hub=hub.state_dict(),
                    optimizer=dict(state={}, param_groups=[dict(lr=0.1)])), tmp_path / 'x.pth')
    found = read_checkpoint(tmp_path / 'x.pth')
    assert torch.equal(found['state_dict']['w'], torch.ones(2))
    buffer = found['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer) and buffer.current() == 1.5


@pytest.mark.parametrize('thing', [Evil(), Sly()])
def test_code_is_refused_and_not_run(thing: object, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, extra=thing), 'x.pth')
    with pytest.raises(ValueError, match=r'cannot read the checkpoint x\.pth'):
        read_checkpoint('x.pth')
    assert not Path('touched').exists()


def test_comparison_counts_missing_and_mismatched() -> None:
    expected = {'a': torch.zeros(2), 'b': torch.zeros(3), 'c': torch.zeros(1)}
    found = {'a': torch.zeros(2), 'b': torch.zeros(4)}
    assert compare_state_dicts(expected, found) == (['c'], ['b'], 1)


def test_a_torn_file_is_named_before_anything_is_built(tmp_path: Path) -> None:
    whole, torn, text = (tmp_path / name for name in ('whole.pth', 'torn.pth', 'text.pth'))
    torch.save(dict(state_dict=dict(weight=torch.zeros(1000))), whole)
    torn.write_bytes(whole.read_bytes()[:-100])
    text.write_text('# README')
    check_checkpoint(whole)
    for path in (torn, text):
        with pytest.raises(ValueError, match=f'cannot read the checkpoint .*{path.name}'):
            check_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        check_checkpoint(tmp_path / 'none.pth')
