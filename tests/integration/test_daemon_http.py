#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile HTTP: whatever is sent gets a clear refusal, keeps nobody out and leaves nothing behind."""
import contextlib
import gzip
import json
import os
import re
import socket
import time

from daemon_fixture import Umbrad, endless, run_tests, wait_for

umbrad = Umbrad({"gups": endless(mode="ept"), "other": endless(mode="shadow")})

HOST = b"Host: localhost\r\n"
PUT = b"PUT /api/v1/guests/gups/mode HTTP/1.1\r\n" + HOST


def connect(local=False, source=None, receive=None):
    sock = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
    sock.settimeout(20)
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    if source:
        sock.bind((source, 0))
    sock.connect(umbrad.socket if local else ("127.0.0.1", umbrad.port))
    return sock


def send(data, local=False):
    """All that comes back until the other side closes. What is sent last asks for that."""
    with connect(local) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                received += piece
        return received


def statuses(received):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z ]+\r\n", received)]


def get(target, headers=b"", version=b"1.1"):
    return (b"GET " + target + b" HTTP/" + version + b"\r\n" + HOST + headers +
            b"Connection: close\r\n\r\n")


def works(local=False):
    return umbrad.ask("/healthz", local=local).status == 200


def refused(received, status, words=b""):
    """With a problem of this status that says why; nothing else was answered."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert statuses(received) == [status], received
    assert b"Content-Type: application/problem+json" in head, received
    problem = json.loads(body)
    assert problem["status"] == status and words.decode() in problem["detail"], problem


def targets_are_read_strictly():
    for target, status, words in (
            (b"/..%2f..%2fetc%2fpasswd", 404, b"nothing"),
            (b"/../../etc/passwd", 404, b"nothing"),
            (b"/schemas/..%2fguest.json", 404, b"no schema"),
            (b"/schemas/../metrics", 404, b"nothing"),
            (b"//metrics", 404, b"nothing"), (b"/metrics/", 404, b"nothing"),
            (b"/./metrics", 404, b"nothing"),
            (b"/api/v1/guests/gups%2fmode", 404, b"no guest"),
            (b"/api/v1/guests/gups/", 404, b"nothing"),
            (b"/api/v1/guests/%00", 400, b"%00"), (b"/api/v1/guests/%", 400, b"hexadecimal"),
            (b"/api/v1/guests/%ff%fe", 404, b"no guest"),
            (b"/api/v1/guests/" + b"x" * 500, 404, b"nothing"),
            (b"/" + b"a/" * 900, 404, b"nothing"),
            (b"/" + b"a" * 2000, 414, b"2000"),
            (b"/metrics?x=1", 400, b"x: this path has no such parameter"),
            (b"/api/v1/guests/gups/decisions?limit=1&limit=2", 400, b"twice"),
            (b"/api/v1/guests/gups/decisions?limit=99999999999999999999", 400, b"limit"),
            (b"/metrics?" + b"a&" * 100, 400, b"8 parameters"),
            (b"/metrics?%zz", 400, b"hexadecimal"),
            (b"*", 400, b"no path"), (b"metrics", 400, b"no path"),
            (b"http://evil.example/metrics", 421, b"another host"),
            (b"https://localhost/metrics", 400, b"no path"),
            (b"/metr\xc3\xa4cs", 400, b"byte")):
        refused(send(get(target)), status, words)
    assert statuses(send(get(b"http://localhost:8642/healthz"))) == [200]
    assert statuses(send(get(b"/%68ealthz"))) == [200]


def requests_that_are_no_http_are_refused():
    for data, expected in (
            (b"GET /healthz\r\n\r\n", [400]), (b"GET /healthz HTTP/9.9\r\n\r\n", [505]),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n", []),
            (b"GET  /healthz  HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", [400]),
            (b"GET /healthz HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n", [400]),
            (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", [414]),
            (get(b"/healthz", b"X: " + b"a" * 100000 + b"\r\n"), [431]),
            (get(b"/healthz", b"".join(b"X%d: a\r\n" % i for i in range(5000))), [431])):
        for local in (False, True):
            got = statuses(send(data, local))
            assert got == expected, (data[:60], got)
    assert works() and works(local=True)


def what_a_proxy_could_read_in_another_way_ends_the_connection():
    smuggled = b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    post = b"POST /healthz HTTP/1.1\r\n" + HOST
    for headers, status, words in (
            (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400, b"both"),
            (b"Content-Length: 4\r\nContent-Length: 4\r\n", 400, b"more than one"),
            (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501, b"chunked"),
            (b"Transfer-Encoding: xchunked\r\n", 501, b"chunked"),
            (b"Transfer-Encoding: gzip, chunked\r\n", 501, b"chunked"),
            (b"Content-Length : 4\r\n", 400, b"name of a header"),
            (b"Content-Length: 99999999\r\n", 413, b"4096")):
        refused(send(post + headers + b"\r\n0\r\n\r\n" + smuggled), status, words)
    for headers in (b"Content-Length: -4\r\n", b"Content-Length: +4\r\n", b"Content-Length: x\r\n",
                    b"Content-Length: 99999999999999999999999\r\n"):
        assert statuses(send(post + headers + b"\r\nabcd" + smuggled))[0] in (400, 413)
        assert b"umbra_" not in send(post + headers + b"\r\nabcd" + smuggled)
    for chunk in (b"zz\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n"):
        received = send(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + smuggled)
        assert statuses(received) in ([400], [413]) and b"umbra_" not in received
    # An endless body: it is not read for ever.
    with connect() as sock:
        sock.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100000):
                sock.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        except OSError:
            pass
        else:
            raise AssertionError("umbrad read 400 MB")


def hosts_and_origins_of_others_are_refused():
    request = b"GET /healthz HTTP/1.%d\r\n%sConnection: close\r\n\r\n"
    refused(send(request % (0, b"")), 400, b"no Host")
    refused(send(request % (1, b"")), 400, b"no Host")
    assert statuses(send(request % (0, HOST))) == [200]
    refused(send(request % (1, HOST + b"Host: evil.example\r\n")), 400, b"more than one Host")
    for host in (b"evil.example", b"localhost.evil.example", b"localhost@evil.example", b"127.0.0.2",
                 b"[::2]", b"", b"localhost:80:80"):
        refused(send(request % (1, b"Host: " + host + b"\r\n")), 421, b"another host")
    for origin in (b"http://evil.example", b"null", b"http://localhost.evil.example", b"localhost"):
        for local in (False, True):
            refused(send(get(b"/healthz", b"Origin: " + origin + b"\r\n"), local), 403, b"Origin")


def cross_site_put_changes_nothing():
    body = b'{"mode":"shadow"}'
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    refused(send(PUT + length + body), 403, b"unix socket")
    refused(send(PUT + b"Origin: http://evil.example\r\n" + length + body, local=True), 403,
            b"Origin")
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"):
        refused(send(PUT + b"Content-Type: " + kind + b"\r\n" + length + body, local=True), 415,
                b"application/json")
    assert umbrad.guest("gups")["mode"] == "ept" and not umbrad.guest("gups")["switches"]


def bodies_that_are_no_wish_are_refused():
    nested = b"[" * 2000 + b"]" * 2000
    for body, status, words in (
            (b'{"mode":"shadow","mode":"ept"}', 400, b"duplicate"),
            (nested, 400, b"JSON"), (b'{"mode":' + nested + b"}", 422, b""),
            (b'{"mode":"\xff"}', 400, b"0xff"), (b'{"mode":"a\\u0000b"}', 400, b""),
            (b"\0" * 100, 400, b"JSON"), (b"", 400, b"JSON"), (b"{", 400, b"JSON"),
            (b'{"mode":"shadow"} x', 400, b"JSON"), (b" " * 4097, 413, b"4096"),
            (b"x" * 60000, 413, b"4096")):
        request = PUT + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
        received = send(request, local=True)
        refused(received, status, words)
    assert umbrad.guest("gups")["mode"] == "ept"


def methods_that_are_none_of_ours_are_refused():
    for method in (b"POST", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"X" * 500):
        for target, allow in ((b"/metrics", b"GET, HEAD"),
                              (b"/api/v1/guests/gups/mode", b"GET, HEAD, PUT")):
            received = send(method + b" " + target + b" HTTP/1.1\r\n" + HOST +
                            b"Connection: close\r\n\r\n", local=True)
            refused(received, 405, b"method")
            assert b"\r\nAllow: " + allow + b"\r\n" in received


def pipelined_requests_are_answered_in_order():
    one = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    other = b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n"
    assert statuses(send((one + other) * 50 + get(b"/readyz"))) == [200, 404] * 50 + [200]


def head_and_not_modified_bring_headers_only():
    whole = umbrad.ask("/schemas/guest.json")
    head = umbrad.ask("/schemas/guest.json", "HEAD")
    same = umbrad.ask("/schemas/guest.json", headers={"If-None-Match": whole.headers["ETag"]})
    other = umbrad.ask("/schemas/guest.json", headers={"If-None-Match": '"x"'})
    for answer in (head, same):
        assert not answer.body
        for name in ("ETag", "Vary", "Cache-Control", "Content-Length"):
            assert answer.headers[name] == whole.headers[name], (name, answer.headers)
    assert (head.status, same.status, other.status) == (200, 304, 200)
    assert other.body == whole.body


def compressed_answer_is_the_same():
    packed = umbrad.ask("/schemas/guest.json", headers={"Accept-Encoding": "gzip"})
    plain = umbrad.ask("/schemas/guest.json", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip" and not plain.headers["Content-Encoding"]
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 4
    assert packed.headers["ETag"] != plain.headers["ETag"]
    tag = {"If-None-Match": packed.headers["ETag"]}
    assert umbrad.ask("/schemas/guest.json", headers=tag).status == 200
    assert umbrad.ask("/schemas/guest.json",
                      headers={**tag, "Accept-Encoding": "gzip"}).status == 304
    assert umbrad.ask("/metrics", headers={"Accept-Encoding": "*;q=0"}).status == 406


def half_open(count, **how):
    """Connections that sent the beginning of a request."""
    sockets = []
    for _ in range(count):
        sockets.append(connect(**how))
        with contextlib.suppress(OSError):
            sockets[-1].sendall(b"GET /metrics HTTP/1.1\r\nHost: loc")
    return sockets


def is_closed(sock):
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def half_open_connections_keep_nobody_out():
    for local, source, count in ((False, "127.0.0.2", 300), (False, None, 300), (True, None, 150)):
        with contextlib.ExitStack() as stack:
            mine = stack.enter_context(connect(local))
            mine.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert mine.recv(4096)
            sockets = [stack.enter_context(sock)
                       for sock in half_open(count, local=local, source=source)]
            for _ in range(5):
                assert works(local) and works(not local)
            # The attacker's own were closed, the oldest first.
            wait_for(lambda: sum(map(is_closed, sockets)) >= count - 128, 10)
            assert is_closed(sockets[0]) and not is_closed(sockets[-1])
            if source:
                mine.sendall(get(b"/healthz"))
                assert b"200" in mine.recv(4096)


def request_and_answer_have_30_seconds():
    trickle, quiet = connect(), connect(local=True)
    # Its answers do not fit into its own and umbrad's buffers, and it takes none.
    slow = connect(receive=2048)
    slow.sendall((b"GET /schemas/guest.json HTTP/1.1\r\n" + HOST + b"\r\n") * 500)
    begun = time.monotonic()

    def all_closed():
        with contextlib.suppress(OSError):
            trickle.send(b"G")
        with contextlib.suppress(OSError):
            slow.send(b"\r\n")
        return is_closed(quiet) and is_closed(trickle) and hung_up(slow)

    def hung_up(sock):
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or broken(sock)

    def broken(sock):
        try:
            sock.send(b"\r\n")
            return False
        except BlockingIOError:
            return False
        except OSError:
            return True
    slow.setblocking(False)
    wait_for(all_closed, 90)
    assert time.monotonic() - begun > 25
    for sock in (trickle, quiet, slow):
        sock.close()
    assert works()


def garbage_on_the_unix_socket_is_survived():
    for data in (os.urandom(5000), b"\0" * 5000, b"\r\n" * 5000, b"GET " * 5000, b"{}\n"):
        with connect(local=True) as sock, contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    assert works(local=True)


def another_user(action):
    """What @action returns in a process of another user: True, False, or the error's name."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        try:
            said = str(action())
        except OSError as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.close(reader)
    return said


def another_user_may_not_connect_and_if_so_not_change_anything():
    if os.geteuid() != 0:
        return "SKIP needs root"
    path = "/api/v1/guests/gups/mode"
    os.chmod(umbrad.directory, 0o755)
    assert another_user(lambda: umbrad.ask(path, local=True).status) == "PermissionError"
    mode = os.stat(umbrad.socket).st_mode
    os.chmod(umbrad.socket, 0o666)
    try:
        assert another_user(lambda: umbrad.ask(path, local=True).status) == "200"
        assert another_user(lambda: umbrad.put_mode("gups", mode="shadow").status) == "403"
    finally:
        os.chmod(umbrad.socket, mode)
    assert mode & 0o007 == 0
    assert umbrad.guest("gups")["mode"] == "ept"
    return None


def nothing_is_left_open():
    wait_for(lambda: open_fds() == fds, 60)
    assert umbrad.process.poll() is None


def open_fds():
    return len(os.listdir(f"/proc/{umbrad.ask('/api/v1/host').json()['pid']}/fd"))


if __name__ == "__main__":
    with umbrad:
        umbrad.wait_state("gups", "running")
        umbrad.wait_state("other", "running")
        works(local=True)
        time.sleep(0.5)
        fds = open_fds()
        run_tests((
            targets_are_read_strictly,
            requests_that_are_no_http_are_refused,
            what_a_proxy_could_read_in_another_way_ends_the_connection,
            hosts_and_origins_of_others_are_refused,
            cross_site_put_changes_nothing,
            bodies_that_are_no_wish_are_refused,
            methods_that_are_none_of_ours_are_refused,
            pipelined_requests_are_answered_in_order,
            head_and_not_modified_bring_headers_only,
            compressed_answer_is_the_same,
            half_open_connections_keep_nobody_out,
            request_and_answer_have_30_seconds,
            garbage_on_the_unix_socket_is_survived,
            another_user_may_not_connect_and_if_so_not_change_anything,
            nothing_is_left_open,
        ))
