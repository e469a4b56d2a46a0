"""The node is told to end while clients follow it in every way: each sees an orderly end, after what
happened before."""

import http.client
import json
import os
import signal

from gaffer import PATIENCE, closed, node

NODE = node()


def feed(path):
    connection = http.client.HTTPConnection(NODE.host, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, (path, answer.status)
    return answer


pid = NODE.load("last", "trap 'echo last words; exit 3' TERM; echo ready; while :; do sleep 0.05; done", redirect_output=["out"])
# What is followed is told from here on, so the trap is set before anybody follows.
assert feed(f"/streams/{pid}/out?since=0").read() == b"ready\n"
channel = NODE.channel()
channel.subscribe("EVENTS")
channel.subscribe(f"STREAM:{pid}")
channel.subscribe(f"STATS:{pid}", interval=3600)
silent = NODE.channel()
frames, plain = NODE.socket(f"/{pid}/channel"), NODE.socket(f"/wstreams/{pid}")
output = feed(f"/streams/{pid}/out?feed=continuous")
sse = feed(f"/streams/{pid}/out?feed=eventsource")
events = feed("/watch?feed=continuous")
event_source = feed("/watch/exit?feed=eventsource")
statistics = feed("/stats?feed=continuous&interval=3600")
waits_for_one = feed("/watch/load")

os.kill(NODE.os_pid, signal.SIGTERM)

assert output.read() == b"last words\n"
told = sse.read().decode()
assert "data: last words\n" in told and 'event: exit\ndata: {' in told, told
lines = [json.loads(line) for line in events.read().splitlines()]
names = [line["event"] for line in lines]
assert "stop_process" in names or "stop" in names, names
assert names[-1] == "job.t.last.exit", names
assert '"exit_status": 3' in event_source.read().decode()
assert statistics.read() == b"" and waits_for_one.read() == b""
heard, code, reason = closed(frames)
bodies = [message.split("\0", 1)[1] for message in heard]
assert bodies[0] == "last words\n" and json.loads(bodies[1])["exit_status"] == 3, heard
assert code == 1000, (code, reason)
assert closed(plain) == (["last words\n"], 1000, f"process {pid} ended: exited with code 3"), reason
heard, code, reason = closed(channel.socket)
assert (code, reason) == (1001, "the node ends"), (code, reason)
heard = [json.loads(message)["data"] for message in heard]
assert any(told.get("data") == "last words\n" for told in heard), heard
assert heard[-1]["event"] == "job.t.last.exit", heard
assert closed(silent.socket) == ([], 1001, "the node ends")
