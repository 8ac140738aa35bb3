"""Requests that one parser may read in another way than the next: those of hazards I, J and K that fit in some bytes, by name.

A good request follows each, for where that one begins is where the row was taken to end; but nothing follows the rows that are cut.
"""
from support.http_client import chunked
from wire.wire_case import closing, head

CHUNKED = "Transfer-Encoding: chunked"
CODED, HELLO = head(CHUNKED), chunked(b"hello")
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
HIDING = b"0\r\n\r\n" + SMUGGLED  # a body in which only a Transfer-Encoding sees a second request
HIDDEN = f"Content-Length: {len(HIDING)}"
FOLLOWING = closing(method="GET", target="/public/next")

TABLE: dict[str, bytes] = {}


def named(hazard: str, rows: dict[str, bytes], following: bytes = FOLLOWING) -> None:
    for name, data in rows.items():
        name = f"{hazard} {name}"
        assert name not in TABLE, name
        TABLE[name] = data + following


def each(hazard: str, make, *values) -> None:
    """A row for each of the values, made of it and named by it."""
    named(hazard, {repr(value): make(value) for value in values})


def get(*lines: str, **options) -> bytes:
    return head(*lines, method="GET", **options)


def with_hosts(*hosts: str, target: str = "/public/x", version: str = "HTTP/1.1") -> bytes:
    return head(*(f"Host: {host}" for host in hosts), method="GET", target=target, version=version, host=None)


def coded(coding: str) -> bytes:
    return head(f"Transfer-Encoding: {coding}") + HELLO


def measured(length: str) -> bytes:
    return head(f"Content-Length: {length}") + b"hello"


def with_line(line: bytes) -> bytes:
    return line + b"\r\nHost: localhost\r\n\r\n"


# ---- framing ---------------------------------------------------------------------------------------------------------------------

named("K01", {
    "length first": head("Content-Length: 5", CHUNKED) + HELLO, "chunked first": head(CHUNKED, "Content-Length: 5") + HELLO,
    "length 0": head("Content-Length: 0", CHUNKED) + HIDING, "on GET": get("Content-Length: 5", CHUNKED) + HELLO})
each("K02", coded, "Chunked", "\tchunked", "chunked \t", "xchunked", "identity", "gzip", "", "chunked, gzip", "gzip, chunked", '"chunked"',
     "chunked;a=b", ",chunked", "chunked,", "chunked chunked", "chunked\x0b", "\x0bchunked", "chunke", "chunkedd", "chunked, identity",
     "chunked\x00")
each("K02 beside a length", lambda coding: head(f"Transfer-Encoding: {coding}", HIDDEN) + HIDING, "chunked", "Chunked", "xchunked",
     "identity", "", "\x0bchunked", "chunked,", "x, chunked")
each("K03", lambda codings: head(*(f"Transfer-Encoding: {coding}" for coding in codings)) + HELLO, ("chunked", "chunked"),
     ("gzip", "chunked"), ("chunked", "identity"), ("identity", "chunked"), ("", "chunked"))
named("K04", {
    "chunked": head(CHUNKED, version="HTTP/1.0") + HELLO,
    "chunked, kept": head(CHUNKED, "Connection: keep-alive", version="HTTP/1.0") + HELLO,
    "length": head("Content-Length: 5", version="HTTP/1.0") + b"hello",
    "length, kept": head("Content-Length: 5", "Connection: keep-alive", version="HTTP/1.0") + b"hello",
    "up to the end": head(version="HTTP/1.0") + b"hello"})
each("K05", lambda name: head(f"{name}: chunked", HIDDEN) + HIDING, "Transfer_Encoding", "Transfer.Encoding", "TransferEncoding",
     "Transfer Encoding", "Transfer--Encoding", "Transfer-Encodin", "Transfer-Encoding ", " Transfer-Encoding", "Transfer-Encoding\t",
     "Transfer-Encoding\0", "\0Transfer-Encoding", "Transfer\x80Encoding", "X-Transfer-Encoding", "Transfer-Encoding:",
     "Transfer-Encoding-", "-Transfer-Encoding", "_Transfer-Encoding", "Transfer-Encoding_", "\x0bTransfer-Encoding",
     "Transfer%2dEncoding", "\xffTransfer-Encoding", "Transfer-Encoding\r", "X: y\rTransfer-Encoding", "X: y\nTransfer-Encoding")
each("K06", measured, "+5", "-5", "0x5", "5,5", "5, 6", "5;", "005", "5 5", "1_0", "", "99999999999999999999", "18446744073709551621",
     "5.0", "5e0", "five", "\u00b2", "5\x00", "5\x0b", "'5'", "5\t5", "\t5\t", " 5 ")
named("K06", {
    "two equal": head("Content-Length: 5", "Content-Length: 5") + b"hello",
    "two different": head("Content-Length: 5", "Content-Length: 6") + b"hello!",
    "two spellings": head("Content-Length: 5", "CONTENT-LENGTH: 5") + b"hello",
    "an empty one first": head("Content-Length:", "Content-Length: 5") + b"hello", "on GET": get("Content-Length: +5") + b"hello"})
each("K07", lambda name: head(f"{name}: 500", "Content-Length: 5") + b"hello", "Content_Length", "Content.Length", "CONTENT_LENGTH",
     "ContentLength", "Content--Length", "_Content-Length", "Content-Length\0", "Content-Length\x85", "Content-Length ", "Content-Length\t")
each("K07 alone", lambda name: head(f"{name}: 5"), "Content_Length", "Content.Length", "Transfer_Encoding", "Content-Length ")
named("K08", {
    "length": measured("\r\n 5"), "coding": coded("\r\n chunked"), "tab": coded("x\r\n\tchunked"),
    "behind": head("X: y\r\n Content-Length: 5") + b"hello", "another": get("X: a\r\n b"), "empty": get("X: a\r\n "),
    "first line": b"GET /public/x HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n"})
for number in range(5):
    lines = [b"POST /public/x HTTP/1.1", b"Host: localhost", b"X: y", b"Content-Length: 5", b"", b"hello"]
    before, behind = b"\r\n".join(lines[:number + 1]), b"\r\n".join(lines[number + 1:])
    each(f"K09 line {number}", lambda end: before + end + behind, b"\n", b"\r", b"\r\r\n", b"\n\r")
named("K09", {"LF everywhere": measured("5").replace(b"\r\n", b"\n")})
each("K09 chunks", lambda body: CODED + body, b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
     b"5\r\nhello\r0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\n",
     b"5\r\nhello\r\n0\r\nX: y\n\r\n", b"5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n")
each("K10", lambda size: CODED + size + b"\r\nhello\r\n0\r\n\r\n", b"5", b"05", b"0x5", b" 5", b"5 ", b"+5", b"-5", b"1_0", b"", b"1" * 17,
     b"FFFFFFFFFFFFFFFF", b"10000000000000005", b"g", b"5h", b"5.", b"\t5", b"5\t", b"0x", b"5,5", b"\0005", b"5\0", b"\xb25")
each("K11", lambda body: CODED + body + b"0\r\n\r\n", b"4\r\nhello\r\n", b"6\r\nhello\r\n", b"5\r\nhello")
named("K11 cut", {
    "in the head": CODED[:-2], "in the size": CODED + b"5", "in the chunk": CODED + b"5\r\nhe",
    "behind the chunk": CODED + b"5\r\nhello\r\n", "in the last size": CODED + b"5\r\nhello\r\n0",
    "in the end": CODED + b"5\r\nhello\r\n0\r\n", "in the body": measured("10"),
    "behind the line": b"GET /public/x HTTP/1.1\r\n", "behind a line of 0.9": b"GET /public/x\r\n"}, following=b"")
each("K12", lambda extension: CODED + b"5" + extension + b"\r\nhello\r\n0\r\n\r\n", b";a=b", b';a="b c"', b" ;a=b", b";", b";=;;(",
     b';a="b', b";a=\xe9", b';a="\n"', b';a="\0"', b';a="\r"', b";\x7f", b";\n0", b";\r0")
named("K12", {
    "of the last chunk": CODED + b"5\r\nhello\r\n0;a=b\r\n\r\n", "200 bytes": CODED + b"5;" + b"a" * 200 + b"\r\nhello\r\n0\r\n\r\n",
    "64 KiB": CODED + b"5;" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n"})
each("K13", lambda zeros: CODED + b"0" * zeros + b"5\r\nhello\r\n0\r\n\r\n", 2, 15, 16, 30, 4096)
for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH"):
    named(f"K14 {method}", {
        "length": head(f"Content-Length: {len(SMUGGLED)}", method=method) + SMUGGLED,
        "chunked": head(CHUNKED, method=method) + chunked(SMUGGLED), "unframed": head(method=method) + b"hello"})
each("K16", lambda value: head(f"Expect: {value}", "Content-Length: 5") + b"hello", "100-continue", "100-Continue", "y 100-continue",
     "100-continue,", "200-ok", "")
each("K18", lambda value: get(f"Connection: {value}"), "close", "Close", "x, close", "close, Content-Length", "keep-alive", "@", "a b",
     "keep-alive, ,, @", "Host")
named("K18", {
    "names the length": head("Connection: Content-Length", "Content-Length: 5") + b"hello",
    "names the coding": head("Connection: Transfer-Encoding", CHUNKED) + HELLO})
each("K19", lambda protocol: get("Connection: upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                                 "Sec-WebSocket-Version: 13"), "foo", "h2c", "websocket", "TLS/1.0")
named("K19", {"with a body": head("Connection: upgrade", "Upgrade: h2c", "Content-Length: 5") + b"hello"})
each("K25", lambda trailer: CODED + b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n", b"Content-Length: 50", b"Transfer-Encoding: chunked",
     b"Host: evil", b"Authorization: Bearer x", b"X-Unknown: evil", b"Connection: close", b"nonsense", b"X : y", b"X: y\r\n z", b": y",
     b"X: a\0b", b"X(: y")

# ---- request lines and fields ----------------------------------------------------------------------------------------------------

each("J19", lambda method: head(method=method), "HEAD", "OPTIONS", "get", "Get", "GET\0", "TRACE", "PROPFIND", "FOO", "G", "M-SEARCH",
     "GET,", "GET:", "G\xe9T", "A" * 40)
each("K20", lambda target: head(method="CONNECT", target=target), "example.test:443", "/public/x", "localhost:80")
each("K21", lambda version: get(version=version), "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1", "HTTP/1.10", "http/1.1",
     "HTTP/11", "HTTP/1,1", "HTP/1.1", "HTTP/1.1x", "HTTP /1.1", "HTTP/01.1", "HTTP/-1.1", "HTTP/9.9")
named("K21", {"0.9": b"GET /public/x\r\n\r\n", "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"})
each("K22", with_line, b"GET  /public/x HTTP/1.1", b"GET /public/x  HTTP/1.1", b"GET\t/public/x HTTP/1.1", b"GET /public/x\tHTTP/1.1",
     b"GET HTTP/1.1", b"GET  HTTP/1.1", b"GET /public/x HTTP/1.1 ", b" GET /public/x HTTP/1.1", b"GET /public/a b HTTP/1.1",
     b"GET /public/x HTTP/1.1\t", b"GET /public/x HTTP/1.1 HTTP/1.1", b"GET", b"GET ", b"\0", b"GET /public/x\0 HTTP/1.1",
     b"/public/x HTTP/1.1", b"GET /public/x\x0bHTTP/1.1", b": / HTTP/1.1", b"G(T /public/x HTTP/1.1", b"GET /public/x,HTTP/1.1",
     b"\r\nGET /public/x HTTP/1.1", b"\r\n\r\nGET /public/x HTTP/1.1", b"\nGET /public/x HTTP/1.1", b"\rGET /public/x HTTP/1.1")
named("K22", {"an empty line behind a body": measured("5") + b"\r\n", "two empty lines behind a body": measured("5") + b"\r\n\r\n"})
for text in (b"nonsense", b": x", b":", b" X: y", b"\tX: y", b"\0: y", b"X Y: z", b"X : y", b"X\x80: y", b"X(: y", b'X": y', b"X;Y: z",
             b"X{: y", b"X: a\0b", b"X: a\rb", b"X: a\nb", b"X: a\x7fb", b"X: a\x01b", b"X: a\x0bb", b"X: a\tb", b"X: a\xe9b", b"X:",
             b"X_Y: z", b"X.Y: z", b"X!#$%&'*+-.^_`|~: z"):
    named(f"K24 {text!r}", {
        "first": b"GET /public/x HTTP/1.1\r\n" + text + b"\r\nHost: localhost\r\n\r\n",
        "last": b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + text + b"\r\n\r\n"})
each("I01", lambda name: get(f"{name}: x"), "X-Auth-Subject", "X_Auth_Subject", "X-Forwarded-For", "Forwarded", "Proxy",
     "X-HTTP-Method-Override", "Trailer", "TE", "Keep-Alive", "Proxy-Connection")
named("I16", {"two authorizations": get("Authorization: Bearer x", "Authorization: Bearer y")})
each("I19 fields", lambda count: get(*(f"X-{number}: y" for number in range(count - 1))), 99, 101)
each("I19 name", lambda size: get("X" * size + ": y"), 255, 270, 65_534)
each("I19 value", lambda size: get("X: " + "y" * size), 12_000, 70_000)

# ---- targets and hosts -----------------------------------------------------------------------------------------------------------

each("J path", lambda target: get(target=target),
     "/", "/public/x/", "/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "/public/.", "/public/./x", "/public/..", "/..",
     "/../x", "/public/%2e", "/public/..;/admin", "/public/.;/admin", "/public/%2E%2E;/x", "/public/..%3B/x", "/public/...", "/public/.x",
     "/public/..x", "/public/x%2e", "//admin", "///admin", "/public//x", "/;/admin", "/admin;x=1", "/public/a;b=c", "/public/a%3bb",
     "/public%2fx", "/public/%5cx", "/public\\x", "/public/%00", "/public/%0d%0aX:y", "/public/%0a", "/public/%7F", "/public/%20",
     "/public/%", "/public/%2", "/public/%zz", "/public/%u002e", "/%61dmin", "/%2561dmin", "/public/%252e%252e/admin", "/public/%7Ex",
     "/public/%3F", "/public/%23", "/public/%25", "/public/%c0%af", "/public/%e0%80%af", "/public/%c3%a9", "/public/%ef%bc%8f",
     "/public/\x80", "/public/\xc3\xa9", "/public/\x7f", "/public#x", "#", "?x", "*", "public/x", "/PUBLIC/x", "/public/'()*!",
     "/public/a|b", "/public/a<b>", "/public/{x}", "/public/[x]", '/public/"x"', "/public/^`", "/public/a,b@c:d&e=f+g$h")
each("J11", lambda query: get(target=f"/public/x?{query}"), "", "?", "a=/../%00", "a=%zz", "a=b#c", "a=\x80", "a\\b", 'a|b"<>')
named("J18", {f"{size} bytes": get(target="/" + "a" * (size - 1)) for size in (8000, 9000)})
each("I15", lambda target: get(target=target), "http://localhost/public/x", "HTTP://LocalHost/public/x", "https://localhost/public/x",
     "http://localhost", "http://localhost?x", "http://localhost:80/public/x", "http://localhost:81/public/x",
     "http://localhost./public/x", "http://evil.test/public/x", "http://user@localhost/public/x", "http:///public/x", "http://",
     "ftp://localhost/public/x", "ws://localhost/x", "//localhost/public/x", "http:/public/x", "http:localhost/x", "http://localhost/../x",
     "http://localhost//x", "http://localhost#/x", "http://localhost\\/x")
named("I15", {
    "a port in Host alone": with_hosts("localhost:80", target="http://localhost/public/x"),
    "the same port": with_hosts("localhost:81", target="http://localhost:81/public/x"),
    "without Host": with_hosts(target="http://localhost/public/x"), "empty Host": with_hosts("", target="http://localhost/public/x"),
    "1.0 without Host": with_hosts(target="http://localhost/public/x", version="HTTP/1.0"),
    "OPTIONS *": head(method="OPTIONS", target="*"), "OPTIONS of all": head(method="OPTIONS", target="http://localhost")})
each("I14", with_hosts, "localhost", "LOCALHOST", "localhost.", "a-b.c_d.test:8443", "127.0.0.1", "[::1]", "[::1]:80", "a:65535",
     "xn--bcher-kva.test", "", "a,b", "user@a", "a/b", "a:99999", "a:65536", "a:x", "a:", "a:0", "a:080", "a:-1", "a:+80", "a:80:80", ":80",
     "[::1", "::1", "[::1]x", "[zz]", "[::1]:99999", "[::ffff:1.2.3.4]", "[fe80::1%25eth0]", "[v1.x]", "1.2.3", "0x7f.1", "a b", "a\tb",
     "a?b", "a#b", "a\\b", "a!b", "a~b", "a$b&c", "*.a", "a" * 255, "a" * 300, "..", ".", "a..b", "-a", "a-", "%", "a%00", "a%41b", "\xe9",
     "<x>", '"a"', "http://a", "@")
named("I14", {
    "none": with_hosts(), "none on 1.0": with_hosts(version="HTTP/1.0"), "two": with_hosts("localhost", "localhost"),
    "two different": with_hosts("localhost", "evil.test"), "two spellings": get("HOST: evil.test"), "a space": get("Host : evil.test"),
    "a look-alike": get("Host_: evil.test")})
