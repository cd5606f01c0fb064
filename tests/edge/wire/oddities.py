"""Parts of requests that no parser should take, or that two parsers may take in two ways."""

ODD_LENGTHS = (
    *(b"+5", b"-5", b"-0", b"0x5", b"5 5", b"5, 5", b"5,5", b"5, 6", b"5,", b",5", b"", b" ", b"5.0"),
    *(b"5e1", b"five", b"\t5", b"5\t", b" 5 ", b"5\x0b", b"5\x0c", b"\xd9\xa5", b"5\x00", b'"5"', b"5;a"),
    *(b"1_0", b"05", b"5\xa0", b"9" * 19, b"9" * 20, b"9" * 40, b"18446744073709551616"),
    *(b"18446744073709551621", b"4294967301", b"0" * 30 + b"5"),
)
ODD_ENCODINGS = (
    *(b"identity", b"chunked, identity", b"identity, chunked", b"xchunked", b"chunkedx", b"chunked;q=1"),
    *(b"chunked, chunked", b"\tchunked", b"chunked\t", b" chunked ", b"CHUNKED", b"chunked,", b",chunked"),
    *(b"", b"gzip, chunked", b"chunked, gzip", b"gzip", b"chunked\x0b", b"\x0bchunked", b"chunked\x00"),
    *(b'"chunked"', b"chunked foo", b"chun ked", b"chu\xa0nked", b"deflate,chunked", b"chunked;"),
    *(b"chunked ,identity", b"trailers", b"cow", b"ch\xd5\xb8nked", b"chunked\xa0"),
)
ODD_NAMES = (
    *(b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"Transfer_Encoding"),
    *(b"Transfer-Encoding\x00", b"Content-Length ", b"Content-Length\t", b"\tContent-Length"),
    *(b"Content_Length", b"Content-Length\x0b", b"Transfer\xadEncoding", b"Content-Length\xa0"),
    *(b"X-A\r\nContent-Length", b"X\nTransfer-Encoding", b"X\rContent-Length"),
)
ODD_HEADERS = (
    *(b": b", b" : b", b"no colon", b"x-a : b", b"x-a\t: b", b"x a: b", b"x-a: b\x00c", b"x-a: b\x01c"),
    *(b"x-a: b\rc: d", b"x-a: b\nc: d", b"x-a: b\r\n c", b"x-a: b\r\n\tc", b"x-a: \x7f", b"x\xe9: b"),
    *(b"(x): b", b"x@y: b", b'"x": b', b"x-a: b\r\n\tTransfer-Encoding: chunked", b"host: second.example"),
    *(b"Host:", b"Expect: 200-ok", b"Expect:", b"Connection: close, close", b"Connection: upgrade, close"),
    *(b"Connection: content-length", b"Connection: Upgrade;x", b"Connection: \xe9", b"Upgrade: websocket"),
    *(b"Upgrade:\th2c", b"Connection: upgrade", b"Connection:upgrade ,", b"Proxy-Connection: keep-alive"),
    *(b"Connection: keep-alive", b"Content-Length: 0", b"Transfer-Encoding: chunked"),
)
ODD_VERSIONS = (
    *(b"HTTP/0.9", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.7", b"HTTP/1"),
    *(b"HTTP/1.", b"HTTP/.1", b"HTTP/01.1", b"HTTP/1.10", b"HTTP/1,1", b"http/1.1", b"HTTPS/1.1"),
    *(b"RTSP/1.0", b"RTSP/1.1", b"ICE/1.0", b"ICY/1.0", b"HTTP/1.1 ", b"HTTP/1.1\t", b"HTTP/1.1 x", b""),
    *(b"HTTP/\xd9\xa1.1", b"HTP/1.1", b"HTTP /1.1", b"HTTP/1.1\x00"),
)
ODD_METHODS = (
    *(b"CONNECT", b"get", b"Post", b"PRI", b"SOURCE", b"DESCRIBE", b"ANNOUNCE", b"PLAY", b"OPTIONS"),
    *(b"M-SEARCH", b"QUERY", b"", b"G", b"GETT", b"BREW", b"POST\x00", b"\xe9", b"GET,POST", b'"GET"'),
    *(b"PURGE", b"LINK", b"TRACE", b"HEAD"),
)
ODD_TARGETS = (
    *(b"", b"*", b"gateway:443", b"example", b"http://", b"http://gateway", b"http:///x", b"/a b"),
    *(b"/\x00", b"/\x7f", b"/\xe9", b"/a#b?c", b"?x", b"//", b"ftp://x/y", b"/\t", b"http://u:p@h/x"),
    *(b"http://[::1]/x", b"HTTP/1.1", b"/\xff?\x80", b"\\x"),
)
# h11 takes twenty digits at most, whatever their number.
ODD_CHUNK_SIZES = (
    *(b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5\t", b"", b"5;", b"5;\n", b"5;a\rb", b"5 ;a", b"5; a"),
    *(b"5;a=", b'5;a="', b"g", b"5\x00", b"00000000000000005", b"0" * 19 + b"5", b"f" * 15, b"f" * 16),
    *(b"1" + b"0" * 16, b"f" * 40, b"5,5", b"5\x0b", b'5;a="\r\n', b"5;\x00", b"5;\x7f", b"5;\xe9", b"5h"),
    *(b"\xd9\xa5", b"0005", b"5;a;b", b"5;=b", b"0", b"00", b"0 ", b"0;a"),
)
ODD_TRAILERS = (b"content-length: 3", b"transfer-encoding: chunked", b"upgrade: h2c", b"connection: close")
LINE_ENDS = (
    *(b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"\x00\r\n", b"\r\n\r\n", b"\n\n", b"\n\r\n"),
    *(b"\r\r", b"\x0b\r\n", b"", b" \r\n", b"\t\r\n", b"\r\n\x00", b"\x85", b"\r \n"),
)
ODD_BEGINNINGS = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\n\n", b"\r", b" ", b"\x00", b"\t\r\n", b"GET /\r\n"),
    *(b"GET /old\r\n\r\n", b"\r\n" * 40, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"0\r\n\r\n", b"x", b"\xef\xbb\xbf"),
)
ODD_BYTES = (
    *(b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b",", b"0", b"-", b";", b"\x0b", b"\x1f"),
    *(b"\x7f",),
)
