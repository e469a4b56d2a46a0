"""Clients that follow everything and are killed, without a close and without a word: nothing of them
is left."""

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
NODE.load("stubborn", "trap '' TERM; while :; do sleep 0.1; done", graceful_timeout=600)
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
counters = NODE.counters()
assert counters["sessions"] == 3 and counters["subscriptions"] == 18, counters
assert counters["feeds"] == 6 + len(feeds), counters
# Those who want the same of the same, as often, share one measurement.
assert counters["stats_watches"] == 4, counters

for follower in followers:
    follower.send_signal(signal.SIGKILL)
    follower.wait()
for feed in feeds:
    # With something unread this is a reset, and without it an end; both happen.
    feed.close()
# Whoever only ends its side may still want its answer, so this one is broken off.
waiting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
waiting.close()
until("nothing is left of them", nobody_is_left)
# The second time it is killed.
NODE.does("POST", "/jobs/t/stubborn/state?wait=stopped", "0")
