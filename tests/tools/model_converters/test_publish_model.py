"""Publishing from the command line."""

from collections.abc import Callable
from pathlib import Path

import torch

TOOL = 'model_converters/publish_model'


def test_a_work_directory(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    content = dict(state_dict=dict(weight=torch.ones(3)), optimizer=dict(state=torch.ones(10_000)))
    torch.save(content, tmp_path / 'epoch_2.pth')
    code, said = call_tool(TOOL, tmp_path, tmp_path / 'out/model.pth')
    (path,) = (tmp_path / 'out').iterdir()
    assert code == 0 and str(path) in said and path.name.startswith('model-')
    assert torch.load(path, weights_only=True)['state_dict']['weight'].tolist() == [1, 1, 1]
    code, said = call_tool(TOOL, tmp_path / 'none.pth', tmp_path / 'x.pth')
    assert code and said.startswith('error: ') and 'none.pth' in said
