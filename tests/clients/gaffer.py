"""What the Python clients share: one node, its REST API and its channel, and waits with a deadline."""

import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# How long anything here may take before it has failed.
PATIENCE = 30


def until(what, condition):
    """Waits for a condition and gives what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain: {what}"
        time.sleep(0.01)


class Node:
    """The gafferd at a URL."""

    def __init__(self, url, os_pid):
        self.host = urlsplit(url).netloc
        self.os_pid = int(os_pid)

    def ask(self, method, path, body=None, headers=None):
        """One request; gives the status and the body, parsed where it is JSON."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(method, path, text, headers or {})
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(raw) if is_json and raw else raw.decode()

    def does(self, method, path, body=None):
        """A request that must be answered with success."""
        status, answer = self.ask(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def load(self, name, script=None, **options):
        """Loads a job of a shell script into the session `t`, waits until it runs, gives its process."""
        command = {"cmd": script, "shell": True} if script else {}
        job = {"name": name, "os_env": True, **command, **options}
        self.does("POST", "/jobs/t?wait=running&timeout=30", job)
        return self.does("GET", f"/jobs/t/{name}/pids")["pids"][0]

    def counters(self):
        return self.does("GET", "/debug/counters")

    def memory(self):
        """The resident memory of gafferd in KiB."""
        with open(f"/proc/{self.os_pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def socket(self, path, **options):
        options = {"open_timeout": PATIENCE, "max_size": None, "ping_interval": None, **options}
        return connect(f"ws://{self.host}{path}", **options)

    def channel(self):
        return Channel(self.socket("/channel/websocket"))


class Channel:
    """The channel over a plain websocket."""

    def __init__(self, socket):
        self.socket = socket
        self.last = 0

    def say(self, event, **data):
        self.socket.send(json.dumps({"event": event, "data": data}))

    def hear(self):
        return json.loads(self.socket.recv(timeout=PATIENCE))

    def hear_until(self, fits):
        """The messages up to the first that fits."""
        heard = []
        while not heard or not fits(heard[-1]):
            heard.append(self.hear())
        return heard

    def subscribe(self, topic, **wishes):
        """Follows a topic; what comes before the answer is dropped."""
        self.say("SUB", topic=topic, **wishes)
        ours = ["gaffer:subscription_success", "gaffer:subscription_error"]
        answer = self.hear_until(lambda m: m["event"] in ours and m["topic"] == topic)[-1]
        assert answer["event"] == ours[0], answer

    def command(self, name, *args, **kwargs):
        """A command's result, or its error; and the messages that came before it."""
        self.last += 1
        identity = str(self.last)
        self.say("CMD", identity=identity, name=name, args=args, kwargs=kwargs)
        is_ours = lambda m: m["event"].startswith("gaffer:command_") and m["data"]["id"] == identity
        *before, answer = self.hear_until(is_ours)
        return answer["data"].get("result") or answer["data"]["error"], before


def closed(socket):
    """Reads a websocket to its end; gives what came, the code and the reason of its close."""
    heard = []
    try:
        while True:
            heard.append(socket.recv(timeout=PATIENCE))
    except ConnectionClosed as end:
        assert end.rcvd, "the connection ended without a close"
        return heard, end.rcvd.code, end.rcvd.reason


def node():
    """The node that this script was started for."""
    return Node(sys.argv[1], sys.argv[2])
