"""Range over everything, by curl: with a client that only reads, since on two cores one that decodes would be what disturbs."""

import subprocess

# gRPC frames, not compressed, of RangeRequest{key: "\0", range_end: "\0"}, and with count_only: true.
LIST_EVERYTHING = b"\x00\x00\x00\x00\x06\x0a\x01\x00\x12\x01\x00"
COUNT_EVERYTHING = b"\x00\x00\x00\x00\x08\x0a\x01\x00\x12\x01\x00\x48\x01"
FRAME_HEAD_BYTES = 5
COUNT_FIELD = 4  # of RangeResponse


def curl(endpoint, frame, *options):
    return subprocess.run(["curl", "--silent", "--show-error", "--fail", "--http2-prior-knowledge", "--header", "content-type: application/grpc",
                           "--header", "te: trailers", "--data-binary", "@-", *options, endpoint + "/etcdserverpb.KV/Range"],
                          input=frame, check=True, stdout=subprocess.PIPE).stdout


def list_everything(endpoint):
    """Bytes of the answer."""
    return int(curl(endpoint, LIST_EVERYTHING, "--output", "/dev/null", "--write-out", "%{size_download}"))


def count_everything(endpoint):
    return count_in(curl(endpoint, COUNT_EVERYTHING))


def count_in(frame):
    """Of a RangeResponse without keys; zero is not written."""
    if len(frame) < FRAME_HEAD_BYTES:
        raise RuntimeError("a range was answered with an error")
    at = FRAME_HEAD_BYTES
    while at < len(frame):
        tag, at = varint(frame, at)
        value, at = varint(frame, at)  # or the length of the header
        if tag == COUNT_FIELD << 3:
            return value
        at += value if tag & 7 == 2 else 0
    return 0


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
