"""Clients that follow everything and are killed, without a close and without a word: nothing of them
is left."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys

from gaffer import node, until

# A follower: it is started by this script, follows, says so, and is killed.
FOLLOWER = """
import sys
from gaffer import node
NODE = node()
pid = sys.argv[3]
channel = NODE.channel()
for topic in ["EVENTS", "EVENTS:job", f"STREAM:{pid}", f"STATS:{pid}", "STATS:t.chatty", "JOB:t"]:
    channel.subscribe(topic)
sockets = [NODE.socket(f"/{pid}/channel"), NODE.socket(f"/wstreams/{pid}")]
print("follows", flush=True)
while True:
    channel.hear()
"""
FEEDS = ["/watch", "/watch/job/t", "/stats", "/stats/t/chatty", "/streams/{}/out"]
# What there is of clients when there is none: this one, which asks.
NOBODY = {
    "connections": 1,
    "sessions": 0,
    "session_receivers": 0,
    "session_senders": 0,
    "session_timers": 0,
    "topics": 0,
    "subscriptions": 0,
    "feeds": 0,
    "stats_watches": 0,
    "waits": 0,
    "writers": 0,
    "queued_bytes": 0,
}
NODE = node()


def nobody_is_left():
    counters = NODE.counters()
    return all(counters[name] == count for name, count in NOBODY.items())


pid = NODE.load(
    "chatty",
    "i=0; while :; do i=$((i + 1)); echo line $i; sleep 0.01; done",
    redirect_output=["out"],
    redirect_input=True,
)
stubborn = NODE.load(
    "stubborn",
    "trap '' TERM; while :; do sleep 0.1; done",
    graceful_timeout=600,
    redirect_input=True,
)
assert nobody_is_left()
followers = [
    subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, sys.argv[1], sys.argv[2], str(pid)],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(__file__))),
    )
    for _ in range(3)
]
for follower in followers:
    assert follower.stdout.readline() == b"follows\n"
host, port = NODE.host.split(":")
feeds = []
for path in FEEDS:
    for form in ["continuous", "eventsource"]:
        feed = socket.create_connection((host, int(port)))
        request = f"GET {path.format(pid)}?feed={form} HTTP/1.1\r\nHost: {NODE.host}\r\n\r\n"
        feed.sendall(request.encode())
        assert feed.recv(12) == b"HTTP/1.1 200"
        feeds.append(feed)
# One that waits for the end of a process that does not end.
waiting = socket.create_connection((host, int(port)))
path = "/jobs/t/stubborn/state?wait=stopped&timeout=600"
waiting.sendall(f"POST {path} HTTP/1.1\r\nHost: {NODE.host}\r\nContent-Length: 1\r\n\r\n0".encode())
until("it waits", lambda: NODE.counters()["waits"] == 1)
# One that writes more to a process than that reads, and than is read before it does.
writing = socket.create_connection((host, int(port)))
writing.sendall(
    f"GET /{stubborn}/channel?mode=2 HTTP/1.1\r\nHost: {NODE.host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
)
assert writing.recv(12) == b"HTTP/1.1 101"
frame = b"V1 message 1\0" + b"x" * 65000
for _ in range(40):
    writing.sendall(struct.pack(">BBHI", 0x82, 0xFE, len(frame), 0) + frame)
until("it waits, too", lambda: NODE.counters()["writers"] == 1)
counters = NODE.counters()
assert counters["sessions"] == 3 and counters["subscriptions"] == 18, counters
assert counters["feeds"] == 7 + len(feeds), counters
# Those who want the same of the same, as often, share one measurement.
assert counters["stats_watches"] == 4, counters

# Some that have sent requests behind a feed on which nothing comes, as much as is taken.
for path in ["/watch/flap", "/watch/unload?feed=continuous", "/watch/unload?feed=eventsource"]:
    feed = socket.create_connection((host, int(port)))
    feed.sendall(f"GET {path} HTTP/1.1\r\nHost: {NODE.host}\r\n\r\n".encode())
    assert feed.recv(12) == b"HTTP/1.1 200"
    feed.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            feed.send(f"GET /ping HTTP/1.1\r\nHost: {NODE.host}\r\n\r\n".encode() * 100)
    feed.close()

for follower in followers:
    follower.send_signal(signal.SIGKILL)
    follower.wait()
for feed in feeds:
    # With something unread this is a reset, and without it an end; both happen.
    feed.close()
# Whoever only ends its side may still want its answer, so these are broken off.
for broken in [waiting, writing]:
    broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broken.close()
until("nothing is left of them", nobody_is_left)
# The second time it is killed.
NODE.does("POST", "/jobs/t/stubborn/state?wait=stopped", "0")
