"""Records are read as they were written, or refused with their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from urbancross_mm.curation import Manifest, Outcome, Record

RECORDS = [
    Record('a.jpg', '1', Outcome(dict(captions=['one\u2028two\x85', 'ü'], score=0.5)), {}),
    Record('b.jpg', '2', Outcome(status='dropped', reason='too small'), dict(stage='x')),
    Record('c.jpg', '3', Outcome(dict(score=float('nan')), 'failed'), {}),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / 'a.jsonl')
    manifest.append(RECORDS[:1])
    manifest.append(RECORDS[1:])
    assert list(map(str, manifest.records())) == list(map(str, RECORDS))
    manifest.path.write_bytes(b'\xef\xbb\xbf' + manifest.path.read_bytes() + b'{"half": "\xc3')
    assert list(map(str, manifest.records())) == list(map(str, RECORDS))


GOOD = json.loads(RECORDS[0].line())


@pytest.mark.parametrize(
    'line',
    [
        b'{',
        b'[]',
        b'',
        b'[' * 99_999,
        json.dumps(dict(GOOD, reason='caf')).encode()[:-9] + b'\xe9"}',
        RECORDS[0].line().encode().rstrip().replace(b'"key"', b'"status": "kept", "key"'),
        *(
            json.dumps(dict(GOOD, **change)).encode()
            for change in (
                dict(fields=[]),
                dict(picture=3),
                dict(status='lost'),
                dict(made_by=None),
                dict(key=1),
            )
        ),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / 'a.jsonl'
    path.write_bytes(RECORDS[0].line().encode() + line + b'\n' + RECORDS[1].line().encode())
    with pytest.raises(ValueError, match=r'a\.jsonl, line 2'):
        Manifest(path).records()
