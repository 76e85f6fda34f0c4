"""A page shows the images in it, and the text as text."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from urbancross_mm.visualization import label_sheet


def test_page_with_a_picture_and_a_missing_one(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 30, 3), 77, np.uint8)).save(tmp_path / 'x.png')
    page = label_sheet(
        [('city/x', str(tmp_path / 'x.png'), 'a <b> & c'), ('city/y', str(tmp_path / 'y.png'), '')],
        '2 images',
    )
    (data,) = re.findall('base64,([^"]+)"', page)
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (200, 200, 3) and abs(int(picture.mean()) - 77) < 3
    assert '<b>1</b> city/x' in page and 'a &lt;b&gt; &amp; c' in page
    assert page.count('image not found') == 1 and '<h1>2 images</h1>' in page
