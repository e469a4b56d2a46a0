#!/usr/bin/env python3
"""A plugin of gafferd in Python, without any library: it hears of events, gives commands, and answers HTTP."""

import http.server
import json
import os
import queue
import socket
import sys
import threading

counts = {}
answers = {}
speaking = threading.Lock()


def command(name, *args):
    """Has the node do something, and gives what comes of it: the result, and an error or None."""
    identity = "%d" % threading.get_ident()
    answers[identity] = queue.Queue()
    message = {"event": "CMD", "data": {"identity": identity, "name": name, "args": args}}
    with speaking:
        print(json.dumps(message), flush=True)
    data = answers[identity].get()
    return data.get("result"), data.get("error")


def hear():
    """Takes what the node says, a message a line, until it ends."""
    for line in sys.stdin:
        message = json.loads(line)
        data = message.get("data", {})
        if message["event"] == "gaffer:event":
            counts[data["event"]] = counts.get(data["event"], 0) + 1
        elif message["event"].startswith("gaffer:command_"):
            answers[data["id"]].put(data)
        elif message["event"] in ("gaffer:error", "gaffer:subscription_error"):
            print(line, file=sys.stderr, flush=True)
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/counts":
            return self.answer(200, counts)
        name = self.path.rsplit("/", 1)[-1]
        self.answer(200, {"hello": name, "caller": self.headers["X-Gaffer-Caller"]})

    def do_POST(self):
        job = ".".join(self.path.split("/")[2:4])
        found, error = command("info", job)
        if error is None:
            number, error = command("scale", job, "=%d" % (2 * found["info"]["max_processes"]))
        if error is not None:
            return self.answer(error["errno"], {"error": error["reason"]})
        self.answer(200, number)

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """What is asked of it, the node knows."""


class Server(http.server.ThreadingHTTPServer):
    """One that listens on the socket that it was given."""

    def __init__(self):
        super().__init__("plugin", Handler, bind_and_activate=False)
        self.socket = socket.socket(fileno=int(os.environ["GAFFER_PLUGIN_FD"]))

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("plugin", 0)


threading.Thread(target=hear, daemon=True).start()
Server().serve_forever()
