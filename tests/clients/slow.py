"""Readers who stop reading while a process writes much: the node keeps little of it, others get
everything, and whoever reads on is told how much was lost."""

import http.client
import json
import socket

from gaffer import PATIENCE, closed, node

NODE = node()
# More than the kernel holds for a connection, and the node for a reader; but not so much that who does not
# read, and so answers no ping, is given up meanwhile on a machine that is slow.
ROUNDS, ROUND = 48, 512 * 1024
TOTAL = ROUNDS * ROUND
# What may be kept for all the readers below, in KiB: four megabytes for each, and something for pieces.
KEPT = 28 * 1024

# It writes when it is told to, so that whoever reads keeps up however slow the machine is.
script = f"while read go; do head -c {ROUND} /dev/zero | tr '\\0' x; done"
pid = NODE.load("loud", script, restart="never", redirect_output=["out"], redirect_input=True)


def feed(form):
    connection = http.client.HTTPConnection(NODE.host, timeout=PATIENCE)
    connection.request("GET", f"/streams/{pid}/out?feed={form}")
    return connection.getresponse()


host, port = NODE.host.split(":")
continuous = socket.create_connection((host, int(port)), timeout=PATIENCE)
continuous.sendall(f"GET /streams/{pid}/out?feed=continuous HTTP/1.1\r\nHost: {NODE.host}\r\n\r\n".encode())
event_source = feed("eventsource")
# What is not taken from these is not read from their connections either.
frames = NODE.socket(f"/{pid}/channel?mode=1", max_queue=1)
plain = NODE.socket(f"/wstreams/{pid}", max_queue=1)
channel = NODE.channel()
channel.socket.close()
channel.socket = NODE.socket("/channel/websocket", max_queue=1)
channel.subscribe(f"STREAM:{pid}")
# These read.
fast = feed("continuous")
fast_frames = NODE.socket(f"/{pid}/channel?mode=1")

before, most = NODE.memory(), 0
for _ in range(ROUNDS):
    NODE.does("POST", f"/streams/{pid}/stdin", "go\n")
    left = ROUND
    while left > 0:
        came = fast.read1(left)
        assert came.strip(b"x") == b"", came
        left -= len(came)
    left = ROUND
    while left > 0:
        left -= len(fast_frames.recv(timeout=PATIENCE).split("\0", 1)[1])
    assert left == 0
    most = max(most, NODE.memory())
assert most - before < KEPT, f"{before} KiB before, {most} KiB at most"
NODE.does("POST", f"/streams/{pid}/stdin?close=1")
assert fast.read() == b""
heard, code, _ = closed(fast_frames)
assert len(heard) == 1 and "gaffer_exit" in heard[0] and code == 1000, heard

raw = b""
while not raw.endswith(b"\r\n\r\n") or b"\r\n0\r\n" not in raw:
    piece = continuous.recv(1 << 20)
    assert piece, f"it ended behind {len(raw)} bytes"
    raw += piece
head, body = raw.split(b"\r\n\r\n", 1)
assert b"Trailer: Gaffer-Lost" in head, head
trailer = body[body.rindex(b"\r\n0\r\n") + 5 :].decode().strip()
name, lost = trailer.split(": ")
assert name == "Gaffer-Lost" and 0 < int(lost) < TOTAL, trailer
assert body.count(b"x") + int(lost) == TOTAL, (body.count(b"x"), lost)

told = event_source.read().decode()
lost = sum(int(line.split(" ")[2]) for line in told.splitlines() if line.startswith(": lagged"))
came = sum(line.count("x") for line in told.splitlines() if line.startswith("data: x"))
assert lost > 0 and came + lost == TOTAL, (came, lost)

heard, code, reason = closed(frames)
heard = [message.split("\0", 1) for message in heard]
lost = sum(json.loads(body)["lost"] for head, body in heard if head == "V1 error gaffer_lagged")
came = sum(len(body) for head, body in heard if head.startswith("V1 message"))
assert lost > 0 and came + lost == TOTAL and code == 1000, (came, lost, code)

heard, code, reason = closed(plain)
came = sum(map(len, heard))
lost = TOTAL - came
assert 0 < lost and reason.endswith(f"({lost} bytes lost)"), (came, reason)

answer = channel.hear_until(lambda m: m["event"] == "gaffer:lagged")[-1]
assert answer["topic"] == f"STREAM:{pid}" and answer["data"]["lost"] > 0, answer
