"""Uploads are bounded in bytes, pixels, time and memory."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.serving.conftest import LIMITS, client_of
from tests.serving.fakes import fake_model
from urbancross_mm.serving import uploads as uploads_module
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.uploads import Uploads, decode
from urbancross_mm.serving.worker_pool import Stop, StoppedError


def encoded(width: int, height: int, kind: str = 'PNG') -> bytes:
    out = io.BytesIO()
    Image.new('RGB', (width, height), (9, 8, 7)).save(out, kind)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = (
        chunk(b'IHDR', header),
        chunk(b'IDAT', zlib.compress(b'\0' * 1000)),
        chunk(b'IEND', b''),
    )
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def send(client: TestClient, content: bytes, **data: str) -> tuple[int, str]:
    files = dict(file=('x.png', content))
    response = client.post('/api/search/image', files=files, data=data)
    return response.status_code, response.text


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF'])
def test_images_are_decoded(kind: str) -> None:
    image = decode(encoded(7, 5, kind), LIMITS, Stop())
    assert image.shape == (5, 7, 3) and np.abs(image.astype(int) - (9, 8, 7)).max() < 6


def test_an_equal_file_is_kept_once() -> None:
    kept = Uploads(LIMITS)
    name = kept.add(encoded(7, 5))
    assert kept.add(encoded(7, 5)) == name and kept.add(encoded(5, 7)) != name
    assert kept.get(name).shape == (5, 7, 3)


def test_the_oldest_makes_room() -> None:
    kept = Uploads(replace(LIMITS, upload_memory=400))
    first, second, third = (kept.add(encoded(side, 10)) for side in (10, 11, 12))
    for name in (first, second):
        with pytest.raises(RefusedError, match='upload it again'):
            kept.get(name)
    assert kept.get(third).shape == (10, 12, 3)


@pytest.mark.parametrize(
    ('content', 'status', 'named'),
    [
        (b'', 422, 'cannot be decoded'),
        (b'GIF89a', 422, 'cannot be decoded'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 422, 'cannot be decoded'),
        (encoded(2000, 600), 413, '2000 x 600'),
        (bomb(30_000, 30_000), 413, ''),
        (bomb(900, 900), 422, 'cannot be decoded'),
        (bytes(200_001), 413, '200001'),
        (encoded(64, 64)[:-30], 422, 'cannot be decoded'),
    ],
)
def test_what_is_too_much_or_no_image_is_refused(
    client: TestClient, content: bytes, status: int, named: str
) -> None:
    code, text = send(client, content)
    assert code == status and named in text and 'Traceback' not in text


def test_a_slow_decoder_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = [sys.executable, '-c', 'import time; time.sleep(60)']
    monkeypatch.setattr(uploads_module, 'DECODER', sleeper)
    with pytest.raises(RefusedError, match=r'0\.2 seconds') as refusal:
        decode(encoded(5, 5), replace(LIMITS, decode_seconds=0.2), Stop())
    assert refusal.value.status == 422


def test_a_decoder_ends_with_its_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / 'pid'
    sleeper = f'import os, time; open({str(said)!r}, "w").write(str(os.getpid())); time.sleep(600)'
    monkeypatch.setattr(uploads_module, 'DECODER', [sys.executable, '-c', sleeper])

    class Leaves(Stop):
        """Once the decoder has begun."""

        def check(self) -> None:
            if said.is_file() and said.read_text():
                raise StoppedError

    with pytest.raises(StoppedError):
        decode(encoded(5, 5), replace(LIMITS, decode_seconds=600), Leaves())
    with pytest.raises(ProcessLookupError):
        os.kill(int(said.read_text()), 0)


def test_uploads_leave_images_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are threads for images are being decoded."""
    service, free = Service([fake_model(tmp_path)], limits=LIMITS), threading.Event()
    entered = threading.Semaphore(0)

    def decode_slowly(*_: object) -> np.ndarray:
        entered.release()
        free.wait()
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(uploads_module, 'decode', decode_slowly)
    with client_of(service) as client:
        slow = [threading.Thread(target=send, args=(client, bytes([n]))) for n in range(2)]
        for thread in slow:
            thread.start()
            entered.acquire()
        # None of these would come back if it waited for an upload.
        for path in ('images/spain/river/0', 'info', 'suggest?typed=riv'):
            assert client.get(f'/api/{path}').status_code == 200
        free.set()
        for thread in slow:
            thread.join()


def test_a_decoder_that_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = [sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']
    monkeypatch.setattr(uploads_module, 'DECODER', killed)
    with pytest.raises(RefusedError, match='memory and time'):
        decode(encoded(5, 5), LIMITS, Stop())


def test_a_form_without_a_file_is_refused(client: TestClient) -> None:
    assert client.post('/api/search/image', data=dict(topk='5')).status_code == 422
    assert client.post('/api/search/image', content=b'x').status_code == 422
    broken = {'Content-Type': 'multipart/form-data; boundary=x'}
    assert client.post('/api/search/image', content=b'--y', headers=broken).status_code < 500
    assert send(client, encoded(5, 5), topk='0')[0] == 422
