"""Plain requests: read without h11, as h11 reads them; whatever is not plain is left to h11."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.runtime.http.plain_request import read_plain_request

HEAD = b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Odd:  a  b \r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n"


def test_a_plain_request_is_read_as_h11_reads_it() -> None:
    request = read_plain_request(HEAD + b"abc")
    assert request is not None
    assert (request.method, request.target, request.size, request.length) == ("POST", b"/a%20b?c=d", len(HEAD), 3)
    assert request.headers == [
        (b"host", b"x"),
        (b"x-odd", b"a  b"),
        (b"content-length", b"3"),
        (b"connection", b"Keep-Alive"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Host: y",
        b"Content-Length: 3, 3",
        b"Content-Length: +3",
        b"Content-Length: 03",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: close",
        b"Connection: keep-alive, upgrade",
        b"X-Name : a",
        b" X-Folded: a",
        b"X-Bare: a\nX: b",
        b"X-Bare: a\rX: b",
        b"X-Tab: a\tb",
        b"X-Nul: a\x00",
        b"X-Latin: \xe9",
        b"no colon",
        b"X-Long: " + b"x" * 9000,
    ],
)
def test_what_is_not_plain_is_left_to_h11(line: bytes) -> None:
    assert read_plain_request(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n") is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(50)) + b"Host: x\r\n\r\n",
    ],
)
def test_only_a_whole_head_in_the_usual_form_is_plain(head: bytes) -> None:
    assert read_plain_request(head) is None


PARTS = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"0", b"5", b"\x00", b"\xe9", b"a", b"chunked", b"close"),
        *(b"Host: x\r\n", b"Content-Length: 5\r\n", b"Content-Length", b"Transfer-Encoding: chunked\r\n", b"X: y\r\n"),
        *(b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"GET / HTTP/1.1\r\n", b"HTTP/1.0", b"/", b"*"),
    ]
)


@given(st.lists(PARTS, max_size=8))
def test_h11_reads_every_plain_request_in_the_same_way(parts: list[bytes]) -> None:
    data = b"POST /path HTTP/1.1\r\nHost: x\r\n" + b"".join(parts) + b"\r\n\r\n"
    request = read_plain_request(data)
    if request is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data[: request.size] + b"x" * request.length)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (request.method.encode(), request.target)
    assert list(event.headers) == request.headers
    body = connection.next_event() if request.length else h11.Data(b"")
    assert isinstance(body, h11.Data)
    assert len(body.data) == request.length
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
