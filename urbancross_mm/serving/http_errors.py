"""Errors of requests that are no HTTP, or too long to be read; the app never sees them."""

from __future__ import annotations

import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from urbancross_mm.serving.security import HEADERS

# A filter may be a polygon of many corners.
MOST_HEADER_BYTES = 1 << 18
SENTENCE = (
    f'the request is no HTTP, or its address and headers have more than {MOST_HEADER_BYTES} bytes'
)
LINGER_SECONDS = 2.0


class HttpProtocol(H11Protocol):
    """Reads requests, and answers what cannot be read as the app does: by JSON with a sentence.

    The rest of such a request is taken and dropped for a while. Else the connection would be reset,
    and a client that is still sending would never see the answer.
    """

    refused = False

    def data_received(self, data: bytes) -> None:
        """Take what a client sends.

        Args:
            data (bytes): The next bytes.
        """
        if not self.refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request, and close the connection soon.

        Args:
            msg (str): What uvicorn says; not used.
        """
        headers = [(b'content-type', b'application/json'), (b'connection', b'close'), *HEADERS]
        body = json.dumps(dict(detail=SENTENCE)).encode()
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b'Bad Request'),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.refused = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
