"""The converter from the command line."""

from collections.abc import Callable
from pathlib import Path

import open_clip
import torch

from tests.models.encoders.clip_files import CFG, IMAGE, clip, published
from tests.models.encoders.test_clip_conversion import siglip_folder

TOOL = 'model_converters/convert_clip'


def test_there_and_back(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    model = clip()
    published(model, tmp_path / 'urbancross.pth', segments=True)
    folder, again = tmp_path / 'transformers', tmp_path / 'open_clip'
    code, said = call_tool(TOOL, tmp_path / 'urbancross.pth', folder, '--to', 'transformers')
    assert code == 0, said
    assert 'left out: the segment tower' in said and 'differ by at most' in said
    assert f'weights from {tmp_path / "urbancross.pth"}' in said and 'clip_img_seg' in said
    code, said = call_tool(TOOL, folder, again, '--to', 'open_clip')
    assert code == 0, said
    found = open_clip.create_model(f'local-dir:{again}').eval()
    with torch.no_grad():
        torch.testing.assert_close(found.encode_image(IMAGE), model.encode_image(IMAGE))
    code, said = call_tool(TOOL, folder, again, '--to', 'open_clip')
    assert code and 'open_clip' in said and '--force' in said
    assert call_tool(TOOL, folder, again, '--to', 'open_clip', '--force')[0] == 0


def test_bad_input(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    torch.save({'conv.weight': torch.ones(2)}, tmp_path / 'x.pt')
    for source in ('x.pt', 'none.pt'):
        code, said = call_tool(TOOL, tmp_path / source, tmp_path / 'out', '--to', 'open_clip')
        assert code and said.count('\n') == 1 and said.startswith('error: ') and source in said
    torch.save(open_clip.CLIP(**CFG).state_dict(), tmp_path / 'clip.pt')
    options = ('--to', 'open_clip', '--model', 'ViT-S-32-alt')
    code, said = call_tool(TOOL, tmp_path / 'clip.pt', tmp_path / 'out', *options)
    assert code and 'another shape' in said and 'clip.pt' in said and said.count('\n') == 1


def test_the_other_gelu_of_siglip(
    call_tool: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    siglip_folder(tmp_path / 'siglip', 'gelu_pytorch_tanh')
    code, said = call_tool(TOOL, tmp_path / 'siglip', tmp_path / 'out', '--to', 'open_clip')
    assert code == 0 and 'differ by at most' in said, said
