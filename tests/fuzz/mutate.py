"""Damage as it occurs: cut files, flipped bytes, wrong values and types in JSON and tables."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    10**9,
    10**30,
    1e308,
    -0.5,
    float('nan'),
    float('inf'),
    '',
    ' ',
    'x',
    '../up',
    '/root/x',
    'a' * 5000,
    'é\u2028\x0c',
    '\x00',
    [],
    [0],
    [None],
    [[]],
    {},
    {'a': 1},
    [1, 2, 3],
    '0',
    'nan',
    ['a', 'b'],
    [10**9, 10**9],
    [-1, 4],
]
TOKENS = [
    b'\x00',
    b'"',
    b"'",
    b',',
    b'\n',
    b'\r',
    b'\xff\xfe',
    b'\xef\xbb\xbf',
    b'{',
    b'}',
    b'[',
    b']',
    b'NaN',
    b'1e999',
    b'\\ud800',
    b'../',
    b'\x0c',
    b'null',
    b'\xe2\x80\xa8',
    b'-',
    b'9' * 40,
    b'<',
    b'\\',
    b'\x1e',
    b';',
]
STARTS = [b'\xef\xbb\xbf', b'\xff\xfe', b'\n', b'sep=;\n', b'[', b'']


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, flip, insert, delete, repeat or overwrite bytes or lines, one to four times."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        position = rng.randrange(len(data) + 1)
        end = min(len(data), position + rng.choice([1, 1, 2, 4, 16, 64]))
        lines = data.split(b'\n')
        line = rng.randrange(len(lines))
        flipped = bytes(byte ^ (1 << rng.randrange(8)) for byte in data[position:end])
        data = rng.choice(
            [
                data[:position],
                data[:position] + flipped + data[end:],
                data[:position] + rng.choice(TOKENS) + data[position:],
                data[:position] + data[end:],
                data[:end] + data[position:],
                data[:position] + rng.randbytes(end - position) + data[end:],
                rng.choice(STARTS) + data,
                b'\n'.join(lines[:line] + lines[line + 1 :]),
                b'\n'.join(lines[:line] + [rng.choice(lines)] + lines[line:]),
                data.replace(b'\n', rng.choice([b'\r\n', b'\r'])),
            ]
        )
    return data


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Put an odd value at one or two places of a JSON document, or remove, repeat or rename."""
    document = json.loads(data)
    for _ in range(rng.choice([1, 1, 2])):
        position = rng.choice(list(places(document)))
        document = changed(document, position, rng)
    return json.dumps(document).encode()


def places(node: Any, path: tuple = ()) -> Any:
    """The path of every node."""
    yield path
    pairs = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in pairs:
        yield from places(child, (*path, key))


def changed(document: Any, path: tuple, rng: random.Random) -> Any:
    """A document with something done to the node at a path."""
    if not path:
        return deepcopy(rng.choice(VALUES))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    key, kind = path[-1], rng.randrange(5)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 0:
        parent.append(deepcopy(parent[key]))
    elif kind == 1 and isinstance(parent, dict):
        parent[f'{key}2'] = parent.pop(key)
    elif kind == 2 and isinstance(parent[key], str):
        parent[key] = mutate_bytes(parent[key].encode(), rng).decode('utf-8', 'replace')
    else:
        parent[key] = deepcopy(rng.choice(VALUES))
    return document


def mutate(data: bytes, is_json: bool, rng: random.Random) -> bytes:
    """One damaged version of a file."""
    if is_json and rng.random() < 0.75:
        return mutate_json(data, rng)
    return mutate_bytes(data, rng)
