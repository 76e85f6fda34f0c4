"""torchvision imports beside a CPU-only torch, and its nms is right."""

import subprocess
import sys

import pytest
import torch

from urbancross_mm.utils.torchvision_hook import nms


def naive_nms(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    def iou(a: list[float], b: list[float]) -> float:
        width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        inter = width * height
        area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return inter / (sum(area) - inter)

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_nms_equals_a_naive_loop(threshold: float) -> None:
    corner = torch.rand(60, 2) * 50
    boxes = torch.cat([corner, corner + 1 + torch.rand(60, 2) * 30], dim=1)
    scores = torch.rand(60)
    assert nms(boxes, scores, threshold).tolist() == naive_nms(
        boxes.tolist(), scores.tolist(), threshold
    )


def test_nms_of_no_boxes_is_empty() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).numel() == 0


@pytest.mark.parametrize(
    'code',
    [
        # transformers only asks for the spec before somebody imports torchvision for real
        'import urbancross_mm, importlib.util as u; u.find_spec("torchvision"); import torchvision',
        'import urbancross_mm, open_clip',
        'import urbancross_mm, segment_anything',
    ],
)
def test_torchvision_and_its_dependants_import_and_the_finder_leaves(code: str) -> None:
    code += (
        '; import sys; from torchvision.ops import batched_nms; import torch;'
        'b = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 8]]);'
        'print(batched_nms(b, torch.tensor([.1, .9]), torch.tensor([0, 0]), .5).tolist(),'
        '[f for f in sys.meta_path if type(f).__name__ == "TorchvisionFinder"])'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith('[1] []')
