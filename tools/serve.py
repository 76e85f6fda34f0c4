"""Serve an index: ``python tools/serve.py CONFIG CKPT --index city.index --raster city.tif``.

Opens an API and a page with a map at http://127.0.0.1:8000. Give --compare to see two models side
by side.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.raster_arguments import add_raster_arguments  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.serving.raster_tiles import RasterTiles
    from urbancross_mm.serving.served_model import ServedModel

TOKEN_VARIABLE = 'URBANCROSS_TOKEN'
NEEDS = 'Serving the page'
CONNECTIONS = 200  # at once; a browser opens six


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument(
        '--index',
        required=True,
        metavar='LOCATION',
        help='made by build_index.py: a folder, a .lance folder, or postgresql://...',
    )
    parser.add_argument('--name', help='what the page calls the model (default: its folder)')
    parser.add_argument(
        '--compare', nargs=2, metavar=('CONFIG', 'CKPT'), help='a second model, side by side'
    )
    parser.add_argument('--compare-index', metavar='LOCATION', help='its index')
    parser.add_argument('--compare-name', help='what the page calls it (default: its folder)')
    parser.add_argument(
        '--templates', nargs='+', default=['{}'], help='prompts with {} for the text (%(default)s)'
    )
    parser.add_argument(
        '--raster', nargs='+', default=[], metavar='TIF', help='GeoTIFFs to show under the hits'
    )
    add_raster_arguments(parser)
    add_server_arguments(parser)
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if (args.compare is None) != (args.compare_index is None):
        parser.error('--compare and --compare-index belong together: give both or none')
    if not 0 < args.port < 65536:
        parser.error(f'--port must be from 1 to 65535, got {args.port}')
    args.token = args.token or os.environ.get(TOKEN_VARIABLE) or None
    return args


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to listen, and to whom."""
    parser.add_argument('--host', default='127.0.0.1', help='where to listen (%(default)s)')
    parser.add_argument('--port', type=int, default=8000, help='(%(default)s)')
    parser.add_argument(
        '--token',
        help=f'what a visitor must know; better set {TOKEN_VARIABLE}, which others cannot see',
    )
    parser.add_argument(
        '--no-token', action='store_true', help='let everybody who reaches --host search'
    )
    parser.add_argument(
        '--open',
        nargs='?',
        const='',
        metavar='STATE',
        help='open the page in the browser, for example with "?q=a+harbor"',
    )


def check_reach(args: argparse.Namespace) -> None:
    """Refuse to serve other machines without a token, unless told to."""
    from urbancross_mm.serving.app import is_loopback

    if is_loopback(args.host) or args.token or args.no_token:
        return
    raise ValueError(
        f'--host {args.host} can be reached from other machines: set {TOKEN_VARIABLE}, or give '
        '--no-token to let everybody search'
    )


def check_port(args: argparse.Namespace) -> None:
    """Refuse a port that is taken, or may not be had, before a model is loaded."""
    family = socket.AF_INET6 if ':' in args.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((args.host, args.port))
        except OSError as error:
            raise ValueError(
                f'cannot listen on {args.host} port {args.port} ({error.strerror}): '
                'choose another --port'
            ) from error


def open_model(
    args: argparse.Namespace, config: str, checkpoint: str, index: str, name: str | None
) -> ServedModel:
    """Load a model and open its index."""
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.config import load_config
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.store_search import StoreSearch
    from urbancross_mm.inference.stores import open_store
    from urbancross_mm.serving.served_model import ServedModel

    # A wrong location is refused before a model is loaded.
    store = open_store(index, read_only=True)
    weights = None if checkpoint == 'none' else resolve_checkpoint(checkpoint)
    embedder = Embedder.from_config(
        load_config(config, args.cfg_options, args.sample), weights, device=args.device
    )
    return ServedModel(
        name or name_of(config, checkpoint), StoreSearch(embedder, store, args.templates)
    )


def name_of(config: str, checkpoint: str) -> str:
    """A name for people: the work directory, or the config."""
    path = Path(checkpoint)
    if checkpoint == 'none':
        return Path(config).stem
    return (path if path.is_dir() else path.absolute().parent).name


def open_models(args: argparse.Namespace) -> list[ServedModel]:
    """The model, and the one beside it."""
    models = [open_model(args, args.config, args.checkpoint, args.index, args.name)]
    if args.compare:
        models.append(open_model(args, *args.compare, args.compare_index, args.compare_name))
        if models[0].name == models[1].name:
            raise ValueError(
                f'both models are called {models[0].name!r}: give --name and --compare-name'
            )
    return models


def open_rasters(paths: Sequence[str], bands: Sequence[int] | None = None) -> list[RasterTiles]:
    """Rasters under names of their own."""
    from urbancross_mm.serving.raster_tiles import RasterTiles

    rasters: list[RasterTiles] = []
    for path in map(Path, paths):
        names = {raster.name for raster in rasters}
        name = path.stem if path.stem not in names else f'{path.stem}-{len(rasters)}'
        rasters.append(RasterTiles(path, name, bands))
        if rasters[-1].view().file.is_slow:
            print(f'note: {path} is large and has no overviews: gdaladdo {path} makes it fast')
    return rasters


def entry_of(address: str, state: str, token: str | None) -> str:
    """The address that shows a state of the page and lets its visitor in."""
    state = state.removeprefix('?')
    return address + '?' + '&'.join(filter(None, [f'token={token}' if token else '', state]))


def main() -> None:
    """Serve."""
    args = parse_args()
    from urbancross_mm.utils.optional import import_optional

    for package in ('fastapi', 'python_multipart', 'rio_tiler'):
        import_optional(package, NEEDS, 'urbancross-mm[serve]')
    uvicorn = import_optional('uvicorn', NEEDS, 'urbancross-mm[serve]')
    from urbancross_mm.serving.app import create_app, is_loopback
    from urbancross_mm.serving.http_errors import MOST_HEADER_BYTES, HttpProtocol
    from urbancross_mm.serving.service import Service
    from urbancross_mm.toy import ensure_sample

    check_reach(args)
    check_port(args)
    if args.sample:
        ensure_sample()
    rasters = open_rasters(args.raster, args.bands)
    locating = dict(scales=args.scales, mode=args.mode, cache=args.cache)
    service = Service(open_models(args), rasters, locating=locating)
    # Of a name in /etc/hosts the guard knows nothing.
    app = create_app(service, args.token, any_host=not is_loopback(args.host))
    host = f'[{args.host}]' if ':' in args.host else args.host
    address = f'http://{host}:{args.port}/'
    print(f'the page is at {address}{" (with ?token=...)" if args.token else ""}; Ctrl+C ends it')
    if args.open is not None:
        threading.Timer(1.0, webbrowser.open, [entry_of(address, args.open, args.token)]).start()
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_level='warning',
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=3,  # then work for visitors that wait is ended
        http=HttpProtocol,  # another one has no bound for headers
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )


if __name__ == '__main__':
    run_tool(main)
