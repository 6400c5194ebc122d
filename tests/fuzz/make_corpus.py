#!/usr/bin/env python3
"""Writes the fuzz targets' seeds to tests/fuzz/corpus; written from the formats, not with the code.

Usage: make_corpus.py [FOLDER]. The result is committed; run it again when a format or an input's
layout changed. Layouts of inputs are described in the targets' files.
"""

import base64
import pathlib
import struct
import sys

CRC_TABLE = []
for index in range(256):
    for _ in range(8):
        index = index >> 1 ^ (0x82F63B78 if index & 1 else 0)
    CRC_TABLE.append(index)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def u16(*values):
    return struct.pack("<%dH" % len(values), *values)


def u32(*values):
    return struct.pack("<%dI" % len(values), *values)


def u64(*values):
    return struct.pack("<%dQ" % len(values), *values)


def text(data):
    assert len(data) < 256
    return bytes([len(data)]) + data


# --- protobuf and the varints of effects ---

def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def zigzag(value):
    return varint(value << 1 ^ value >> 63)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*pairs):
    return b"".join(field(number, value) for number, value in pairs)


# --- the journal ---

STORE = 0x9F86D081884C7D65


def frame(magic, kind, fields):
    head = magic + u16(1, kind) + fields
    return head + u32(crc32c(head))


def block_header(first, entries, body):
    return frame(b"TMJB", 0, u64(STORE, first, 3) + u32(entries, len(body), crc32c(body)) +
                 u64(0, 0x1234))


def body(revision, entries):
    """entries: (kind, changes, origin, number, [(partition, epoch)], payload)"""
    out = u16(1, 0) + u32(len(entries)) + u64(revision)
    for kind, changes, origin, number, partitions, payload in entries:
        out += bytes([kind, changes]) + u16(len(partitions)) + u32(len(payload))
        out += u64(origin, number)
        for partition, epoch in partitions:
            out += u32(partition) + u64(epoch)
    return out + b"".join(entry[5] for entry in entries)


ENTRIES = [(2, 0, 5, 0, [(1, 0)], b""), (1, 1, 5, 1, [(1, 1)], b"payload"),
           (1, 0, 9, 1, [(1, 1), (2, 1)], b"more")]


def sequencer(tail, epochs, origins):
    out = u32(1) + u64(*tail) + u32(len(epochs))
    for partition, epoch in epochs:
        out += u32(partition) + u64(epoch)
    out += u32(len(origins))
    for origin, number, position, answers in origins:
        out += u64(origin, number, position) + u32(len(answers))
        for answer in answers:
            out += u64(*answer)
    return out


STATE = sequencer((9, 6, 2), [(0, 1), (1, 4)], [(3, 2, 7, [(6, 4), (7, 5)]), (8, 9, 9, [(9, 6)])])


def journal_seeds():
    segment = frame(b"TMJS", 0, u64(STORE, 4096, 1, 0))
    mark = frame(b"TMJM", 1, u64(STORE, 7, 0x99))
    entries = body(1, ENTRIES)
    yield "block_frame", {"segment": segment, "block": block_header(1, 3, entries), "mark": mark,
                          "sealed": frame(b"TMJM", 2, u64(STORE, 7, 0x99)), "zero": bytes(64),
                          "fields": u16(1, 0) + u64(STORE, 4096, 1, 2, 3, 4)}
    place = u64(7) + u32(3) + u64(2)
    yield "entry_codec", {"three": place + entries,
                          "one": u64(1) + u32(1) + u64(1) + body(1, ENTRIES[1:2]),
                          "many": u64(1) + u32(40) + u64(1) + body(5, ENTRIES[2:] * 40)}
    steps = bytes(range(1, 25))
    yield "sequencer_state", {
        "small": steps + STATE, "empty": steps + sequencer((0, 1, 0), [], []),
        "wide": steps + sequencer((99, 50, 7), [(i, i + 1) for i in range(20)],
                                  [(i, 3, 3 * i + 2, [(3 * i, 2 * i + 1), (3 * i + 2, 2 * i + 2)])
                                   for i in range(1, 12)])}
    # Files in order: FORMAT, segments, term. See Edit in journal_files_fuzz.cc.
    yield "journal_files", {
        "whole": b"", "flip": b"\0\1\1\0\7", "torn": b"\1\4\2\0\xff\x0f", "cut": b"\2\2\3\5",
        "copy": b"\3\1\2\0\2\1", "missing": b"\4\2\0\0", "field": b"\6\1\1\x10" + u64(9),
        "swapped": b"\7\1\0\0\2", "term": b"\0\5\0\x10\3\5\5\0\0",
        "repaired": b"\0\2\1\x20\5\5\2\1\0"}
    form = b"tidemark journal\nversion 1\nstore 9f86d081884c7d65\n"
    term = u64(STORE, 4)
    snapshot = u64(STORE, 9) + STATE

    def wrap(magic, content):
        head = magic + u32(1) + content
        return head + u32(crc32c(head))
    whole = form + b"crc32c %08x\n" % crc32c(form)
    yield "data_directory", {
        "whole": b"\0" + text(whole) + text(wrap(b"TMJT", term)) + wrap(b"TMJN", snapshot),
        "repaired": b"\7" + text(form) + text(term) + snapshot,
        "newer": b"\7" + text(form.replace(b"version 1", b"version 2")) + text(term) + snapshot}


# --- store ---

def change(sub, key, value=None, lease=0):
    flags = (1 if value is None else 0) | (2 if lease else 0)
    out = bytes([flags]) + varint(sub) + varint(len(key)) + key
    if value is not None:
        out += varint(len(value)) + value
    return out + (zigzag(lease) if lease else b"")


def item(kind, content):
    return bytes([kind]) + varint(len(content)) + content


def store_seeds():
    puts = varint(3) + change(0, b"/a", b"1") + change(1, b"/b", b"22", 7) + change(2, b"/c")
    node = (item(2, zigzag(7) + zigzag(60)) + item(3, zigzag(-7)) + item(5, zigzag(12)) +
            item(4, zigzag(7) + zigzag(5) + zigzag(8) + zigzag(0)) +
            item(6, varint(77) + zigzag(1) + b"\1"))
    yield "effects", {"put": b"\3\1" + item(1, varint(3) + change(0, b"k", b"v")),
                      "changes": b"\3\1" + item(1, puts) + item(1, varint(4) + change(3, b"x")),
                      "node": b"\3\1" + node, "both": b"\3\1" + item(1, puts) + node}
    kv = message((1, b"/registry/a"), (2, 5), (3, 9), (4, 2), (5, b"value"), (6, -3))
    yield "key_value", {"kv": b"\0" + kv, "tombstone": b"\0" + message((1, b"k"), (3, 7)),
                        "events": b"\1\3" + (b"\1" + text(b"key") + u64(5, 6) + b"\1\0\5" +
                                             u64(7) + b"\0") * 4}
    yield "interval_map", {
        "ops": bytes([2, 0x10, 0x83, 1, 3, 0x41, 0xC2, 2, 0x42, 0x10, 0, 3, 1, 0x41, 1, 0x82, 0, 1,
                      1, 0x41, 2, 0x40, 0xC0, 4, 2, 0x40, 0xC1, 5, 1, 0x80, 0, 0, 1, 0x80]),
        "many": bytes((i * 37 + i // 3) % 256 for i in range(400))}
    rng = message((1, b"a"), (2, b"c"), (3, 2), (4, 5), (5, 2), (6, 3))
    put = message((1, b"a"), (2, b"v"), (3, 7), (4, 1))
    compare = message((1, 0), (2, 3), (3, b"a"), (7, b"3"))
    nested = message((1, message((1, 2), (2, 0), (3, b"b"), (4, 0), (64, b"c"))),
                     (2, message((2, message((1, b"d"), (2, b"x"))))),
                     (3, message((3, message((1, b"a"), (2, b"b"), (3, 1))))))
    txn = message((1, compare), (2, message((1, rng))), (2, message((2, put))),
                  (2, message((4, nested))), (3, message((3, message((1, b"a"), (2, b"\0"))))))
    yield "requests", {
        "range": b"\0\1" + rng, "all": b"\0\0" + message((1, b"\0"), (2, b"\0"), (8, 1)),
        "filters": b"\0\2" + message((1, b"a"), (2, b"\0"), (10, 2), (11, 6), (12, 2), (13, 5)),
        "count": b"\0\3" + message((1, b"a"), (2, b"z"), (9, 1), (3, 1)),
        "put": b"\1" + put, "ignore": b"\1" + message((1, b"a"), (5, 1), (6, 1)),
        "delete": b"\2" + message((1, b"a"), (2, b"c"), (3, 1)), "txn": b"\3" + txn,
        "overlap": b"\3" + message((2, message((2, put))), (2, message((3, message((1, b"a"))))))}


# --- checkpoints and the memory on tmpfs ---

def envelope(magic, content, version=1):
    head = magic + u32(version) + content
    return head + u32(crc32c(head))


def recovery_seeds():
    state = (field(1, b"partitions-v1;1=/pods/") + field(2, 9) + varint(3 << 3 | 1) + u64(77) +
             field(4, message((1, 5), (2, 60), (3, 30))) + field(4, message((1, 6), (2, 9), (3, 9))) +
             field(5, message((1, 2**63), (2, 1))))
    header = (u64(STORE, 17) + u32(3) + u64(40, 39, 2) + u64(2**64 - 1, 0xABCD, 4, 321) +
              u32(len(state)) + state)
    home = crc32c(u64(7) + u32(3) + u64(5))
    key = struct.pack(">QQ", 9, 1)
    wire = message((1, b"/registry/a"), (2, 5), (3, 9), (4, 2), (5, b"value"))
    # Without crc32c's first and last inversion a CRC goes on from another.
    crc = home ^ 0xFFFFFFFF
    for byte in key + b"\0" + wire:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    record = text(key) + b"\0" + u32(crc ^ 0xFFFFFFFF) + wire
    footer = b"\1" + bytes(40) + u32(5) + u64(0x88E241B785F4CFF7)
    yield "checkpoint_codec", {
        "header": b"\0\0" + envelope(b"TMCH", header), "newer": b"\0\0" +
        envelope(b"TMCH", header, 2), "repaired": b"\0\1" + b"TMCH" + u32(1) + header + u32(0),
        "identity": b"\1\0" + envelope(b"TMCS", u64(STORE)), "record": b"\2\0" + record,
        "tombstone": b"\2\1" + text(key) + b"\1\0\0\0\0" + message((1, b"k"), (3, 9)),
        "state": b"\3\0" + state, "table": b"\4\0" + bytes(64) + footer}
    yield "segments", {
        "flip": bytes([0, 0, 3, 30, 4]), "rest": bytes([1, 1, 5, 0, 0]),
        "gone": bytes([2, 1, 0, 0, 0]), "copy": bytes([3, 0, 0, 0, 1]),
        "mark": bytes([0, 0, 2, 4, 1]), "forged": bytes([4, 0, 4, 16, 9, 5, 1, 0, 24, 1]),
        "size": bytes([4, 0, 6, 9, 8]), "slot": bytes([0, 3, 4, 3, 1, 0, 3, 12, 3, 1]),
        "listed": bytes([4, 3, 20, 2, 3])}


# --- text ---

def text_seeds():
    yield "url", {"two": b"http://127.0.0.1:2379,https://[::1]:2380", "unix": b"unix://m0:2379",
                  "names": b" http://localhost:1 ,http://node-1.example:65535", "bad": b"http://a/b"}
    yield "partition_map", {
        "default": b"default\n--\n/registry/pods/a\n/registry/pods\n/registry/podsa\n/z\n",
        "items": b"a=/a/,/b/;c=/c\n--\n/a\n/a/\n/a0\n/b/x\n/c\n/d",
        "yaml": b"# comment\npods: [\"/registry/pods/\", '/x/']\nrest2: /y\n--\n/x/\n/y",
        "ends": b"a=\xff,\xfe\xff\n--\n\xfe\n\xff\n\xff\xff\n\xfe\xff"}
    member = b'{"format": 1, "member-id": "8e9e05c52164694d", "cluster-id": "cdf818194e3a8c32"'
    yield "identity", {"whole": member + b', "peer-urls": ["http://localhost:2380"]}',
                       "newer": b'{"format": 2}', "no-urls": member + b"}",
                       "wrong-types": b'{"format": 1.5, "member-id": 7, "peer-urls": [null]}'}
    flags = (b"--name=n\n--data-dir\nd\n--listen-client-urls=http://127.0.0.1:2379\n"
             b"--advertise-client-urls\nhttp://127.0.0.1:2379\n--auto-compaction-retention=5m\n"
             b"--auto-compaction-mode=periodic\n--quota-backend-bytes=100")
    config = (b"name: n\ndata-dir: d\nlisten-client-urls: http://127.0.0.1:1\n"
              b"advertise-client-urls: http://127.0.0.1:1\nheartbeat-interval: 100\n"
              b"log-outputs: [stderr]\nclient-transport-security:\n  cert-file: a\n  key-file: b\n"
              b"grpc-keepalive-timeout: 20s\ncors: '*'\n")
    yield "options", {
        "flags": flags, "environment": b"--name\na\n--\nETCD_NAME=b\nETCD_SNAPSHOT_COUNT=5\nX=y",
        "file": b"--config-file=f\n--\n\n--\n" + config,
        "json": b"--config-file=f\n--\n\n--\n{\"name\": \"n\", \"initial-cluster\": null}",
        "help": b"-h", "version": b"--version", "grpc-proxy": b"grpc-proxy\nstart",
        "older": b"-enable-v2=false\n--experimental-initial-corrupt-check=true\n--debug"}


# --- the client port ---

def grpc_message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


def h2_frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def literal(name, value):
    """HPACK: a literal header field with a new name, not indexed, no Huffman code."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def grpc_headers(path, extra=b""):
    return (b"\x83\x86" + literal(b":path", path) + literal(b":authority", b"h") +
            literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers") + extra)


def h2(*frames):
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"") + b"".join(frames)


def client_port_seeds():
    unary = h2_frame(1, 4, 1, grpc_headers(b"/t.T/Unary")) + h2_frame(0, 1, 1, grpc_message(b"hi"))
    timeout = literal(b"grpc-timeout", b"9S") + literal(b"x-bin", base64.b64encode(b"\0\1"))
    ping = h2_frame(6, 0, 0, b"12345678")
    bidi = h2_frame(1, 4, 3, grpc_headers(b"/t.T/Bidi", timeout))
    seeds = {
        "unary": h2(unary), "get": h2(h2_frame(1, 5, 1, b"\x82\x86" + literal(b":path", b"/x?q"))),
        "bidi": h2(bidi, h2_frame(0, 0, 3, grpc_message(b"a") + grpc_message(b"bb")[:6]),
                   h2_frame(0, 1, 3, b"b")),
        "stream": h2(h2_frame(8, 0, 0, u32(0xFFFF)), h2_frame(
            1, 4, 1, grpc_headers(b"/t.T/Stream")), h2_frame(0, 1, 1, grpc_message(b"\x20"))),
        "hang": h2(h2_frame(1, 4, 5, grpc_headers(b"/t.T/Hang", timeout)), h2_frame(
            0, 1, 5, grpc_message(b"")), ping),
        "reset": h2(bidi, h2_frame(3, 0, 3, b"\0\0\0\x08"), ping),
        "fail": h2(h2_frame(1, 4, 1, grpc_headers(b"/t.T/Fail")),
                   h2_frame(0, 1, 1, grpc_message(b"\x09text %"))),
        "unknown": h2(h2_frame(1, 4, 1, grpc_headers(b"/t.T/No")), h2_frame(0, 1, 1, b"")),
        "settings": h2(h2_frame(4, 0, 0, b"\0\4\0\0\0\x10\0\5\0\0\x40\0\0\1\0\0\0\0"), unary),
        "goaway": h2(unary, h2_frame(7, 0, 0, bytes(8)), ping),
        "continuation": h2(h2_frame(1, 0, 1, grpc_headers(b"/t.T/Unary")[:20]), h2_frame(
            9, 4, 1, grpc_headers(b"/t.T/Unary")[20:]), h2_frame(0, 1, 1, grpc_message(b"x"))),
        "http1": b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" * 2,
        "post": b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbodyGET /later HTTP/1.1\r\n"
                b"Host: h\r\nConnection: close\r\n\r\n",
        "chunked": b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: "
                   b"100-continue\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"}
    yield "client_port", {name: bytes([index, index * 5]) + seed
                          for index, (name, seed) in enumerate(seeds.items())}
    yield "http1", {name: b"\7" + seeds[name] for name in ("http1", "post", "chunked")} | {
        "old": b"\7GET http://h/p?q HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET * HTTP/1.1\r\n\r\n",
        "both": b"\7POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}
    yield "grpc_wire", {"messages": b"\3" + grpc_message(b"one") + grpc_message(b"") +
                        grpc_message(b"x" * 50), "half": b"\1" + grpc_message(b"abcdef")[:8],
                        "large": b"\2" + grpc_message(b"y" * 400), "timeout": b"\x0012345678m",
                        "compressed": b"\2\1\0\0\0\0", "base64": b"\0QUJD", "type":
                        b"\0application/grpc+proto"}


def header_block_seeds():
    """What RFC 7541's appendix C shows: requests with and without Huffman code, the table filling up and overflowing."""
    def blocks(*texts):
        return b"".join(bytes([len(block)]) + block for block in map(bytes.fromhex, texts))
    yield "header_block", {
        "plain": blocks("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
                        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"),
        "huffman": blocks("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
                          "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
        "literal": blocks("400a637573746f6d2d6b65790d637573746f6d2d686561646572",
                          "040c2f73616d706c652f70617468", "100870617373776f726406736563726574"),
        "table": blocks("3f45828684", "2040016101624001630164", "3fe11fbe", "bf", "c0"),
        "number": blocks("ff00", "7f80808000", "1fffffff0f", "3fe21f")}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent /
                          "corpus")
    for seeds in (journal_seeds(), store_seeds(), recovery_seeds(), text_seeds(),
                  client_port_seeds(), header_block_seeds()):
        for target, files in seeds:
            (folder / target).mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
