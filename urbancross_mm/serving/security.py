"""Who may ask, how much may be sent, and the headers of every reply; as ASGI middleware."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from urbancross_mm.serving.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = 'urbancross_token'
UPLOADS = '/api/search/image'
LOOPBACK = ('localhost', '127.0.0.1', '[::1]')
# MapLibre makes images of blobs; there is no inline script, and nothing comes from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b'content-security-policy', POLICY.encode()),
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'no-referrer'),
    (b'cross-origin-opener-policy', b'same-origin'),
    (b'cross-origin-resource-policy', b'same-origin'),
    (b'permissions-policy', b'camera=(), microphone=(), geolocation=()'),
]

EXTRA = {401: [(b'www-authenticate', b'Bearer')], 503: [(b'retry-after', b'2')]}


class Guard:
    """Checks host, origin, token and length of a request before the app sees it.

    Args:
        app (App): The app.
        limits (Limits): Of bodies, and of uploads at once.
        token (str, optional): What a client must know. Defaults to None: everybody may ask.
        hosts (Sequence[str], optional): Names under which the server may be addressed, so that a
            page of another name cannot reach it through the browser. Defaults to None: any.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        token: str | None = None,
        hosts: tuple[str, ...] | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._token = token
        self._hosts = hosts
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = {key.decode('latin-1').lower(): value for key, value in scope['headers']}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(send)
            return
        if not _has_body(headers):
            await self._app(scope, receive, send)
        elif scope['path'] != UPLOADS:
            await self._read_and_serve(scope, receive, send)
        elif self._uploads >= self._limits.uploads:
            await _reply(send, 503, f'{self._uploads} images are being sent already: try again')
        else:
            self._uploads += 1
            try:
                await self._read_and_serve(scope, receive, send)
            finally:
                self._uploads -= 1

    async def _read_and_serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._most_bytes(scope['path'])
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                whole = await _whole_body(receive, most)
        except TimeoutError:
            seconds = f'{self._limits.body_seconds:g}'
            await _reply(send, 408, f'the request is not here after {seconds} seconds')
            return
        if whole is None:
            await _reply(send, 413, f'the request is longer than {most} bytes')
            return
        await self._app(scope, whole, send)

    def _most_bytes(self, path: str) -> int:
        # The parts of a form have headers, and texts may come with the image.
        return self._limits.body_bytes + (self._limits.upload_bytes if path == UPLOADS else 0)

    def _refusal(
        self, scope: Scope, headers: dict[str, bytes]
    ) -> Callable[[Send], Awaitable[None]] | None:
        host = _host_name(headers.get('host', b'').decode('latin-1'))
        if self._hosts is not None and host not in self._hosts:
            return _refuse(400, f'this server is not {host[:100]!r}: open http://127.0.0.1')
        if headers.get('sec-fetch-site') == b'cross-site' and scope['path'].startswith('/api/'):
            return _refuse(403, 'a page of another site may not ask this server')
        if self._token is not None:
            query = parse_qsl(scope['query_string'].decode('latin-1'), keep_blank_values=True)
            given = dict(query).get('token')
            if given is not None and self._is_token(given):
                rest = urlencode([(key, value) for key, value in query if key != 'token'])
                path = scope.get('raw_path') or b'/'
                return _enter(path.decode('latin-1') + (f'?{rest}' if rest else ''), self._token)
            if not self._is_token(_token_of(headers)):
                return _refuse(
                    401, 'a token is needed: open the page with ?token=..., or send it as a bearer'
                )
        length = headers.get('content-length', b'')
        most = self._most_bytes(scope['path'])
        if length.isdigit() and int(length[:20]) > most:
            return _refuse(413, f'the request is longer than {most} bytes')
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or '').encode())


def _has_body(headers: dict[str, bytes]) -> bool:
    return 'content-length' in headers or 'transfer-encoding' in headers


async def _whole_body(receive: Receive, most: int) -> Receive | None:
    """Read a body before the app does, as its parsers take an error of ours for one of theirs."""
    parts: list[MutableMapping[str, Any]] = []
    left = most
    while not parts or parts[-1].get('more_body'):
        parts.append(await receive())
        left -= len(parts[-1].get('body', b''))
        if left < 0:
            return None

    async def replay() -> MutableMapping[str, Any]:
        return parts.pop(0) if parts else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message['type'] == 'http.response.start':
            message['headers'] = [*message.get('headers', []), *HEADERS]
        await send(message)

    return send_with_headers


def _host_name(host: str) -> str:
    """Without the port."""
    name, colon, port = host.rpartition(':')
    return (name if colon and (port.isdigit() or not port) else host).lower()


def _token_of(headers: dict[str, bytes]) -> str:
    kind, _, token = headers.get('authorization', b'').decode('latin-1').partition(' ')
    if kind.lower() == 'bearer':
        return token.strip()
    try:
        cookies = SimpleCookie(headers.get('cookie', b'').decode('latin-1'))
    except CookieError:
        return ''
    return cookies[COOKIE].value if COOKIE in cookies else ''


def _refuse(status: int, sentence: str) -> Callable[[Send], Awaitable[None]]:
    async def refuse(send: Send) -> None:
        await _reply(send, status, sentence)

    return refuse


async def _reply(send: Send, status: int, sentence: str) -> None:
    headers = [(b'content-type', b'application/json'), *EXTRA.get(status, [])]
    await send(dict(type='http.response.start', status=status, headers=headers))
    await send(dict(type='http.response.body', body=json.dumps(dict(detail=sentence)).encode()))


def _enter(location: str, token: str) -> Callable[[Send], Awaitable[None]]:
    """The token moves from the address, which people copy, to a cookie."""
    cookie = f'{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000'

    async def enter(send: Send) -> None:
        headers = [
            (b'location', ('/' + location.lstrip('/\\')).encode('latin-1')),
            (b'set-cookie', cookie.encode('latin-1')),
        ]
        await send(dict(type='http.response.start', status=303, headers=headers))
        await send(dict(type='http.response.body', body=b''))

    return enter
