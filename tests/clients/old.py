"""The original's command line, version 0.5.2, as far as it asks a node, in as little as that takes.

It is no client to use, but a witness: each command sends the requests that the original sent, in its
order and with its headers, reads of the answers what the original read, and prints what that printed.
What it stumbles over, the original would have. `old.py -g URL COMMAND …`, in the folder of a Procfile
or anywhere. Only the standard library is needed.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import select
import shlex
import signal
import socket
import sys
import time
import uuid
from http.client import responses
from urllib.parse import quote, urlsplit

PATIENCE = 20
HEARTBEAT = 15
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HTTPError(Exception):
    def __init__(self, code):
        super().__init__(f"HTTP {code}: {responses.get(code, 'Unknown')}")
        self.code = code


class NotFound(HTTPError):
    pass


class Conflict(HTTPError):
    pass


def complain(text):
    print(text, file=sys.stderr, flush=True)


class Stream:
    """A connection that is read in exact amounts."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self.input = b""

    def more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError
        self.input += chunk

    def take(self, count):
        while len(self.input) < count:
            self.more()
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def head(self):
        """The first line and the fields of an answer, their names in lower case."""
        while b"\r\n\r\n" not in self.input:
            self.more()
        first, *lines = self.take(self.input.index(b"\r\n\r\n") + 4).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if line)
        return first, {name.lower(): value for name, value in fields.items()}


class Node:
    """The gafferd at a URL. Each request has a connection of its own."""

    def __init__(self, url):
        self.url = url
        parts = urlsplit(url)
        self.netloc, self.host, self.port = parts.netloc, parts.hostname, parts.port or 80

    def ask(self, method, path, body=None, kind=None):
        """Gives the body of a success."""
        if method == "POST" and body is None:
            body = ""
        raw = None if body is None else body.encode()
        fields = [("Content-Type", kind)] if kind else []
        fields += [("Accept", "application/json"), ("Connection", "close"), ("Host", self.netloc)]
        if raw is not None:
            fields.append(("Content-Length", str(len(raw))))
        if method == "POST" and not kind:
            fields.append(("Content-Type", "application/x-www-form-urlencoded"))
        fields.append(("Accept-Encoding", "gzip"))
        lines = [f"{method} {quote(path, safe='/:')} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        stream = Stream(self.host, self.port)
        stream.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        if raw is not None:
            # It was written apart.
            stream.socket.sendall(raw)
        first, fields = stream.head()
        code = int(re.match(r"HTTP/1.[01] ([0-9]+)", first).group(1))
        assert fields.get("transfer-encoding") is None and fields.get("content-encoding") is None, fields
        text = stream.take(int(fields["content-length"])).decode()
        stream.socket.close()
        if 200 <= code < 300:
            return text
        raise {404: NotFound, 409: Conflict}.get(code, HTTPError)(code)

    def get(self, path):
        return json.loads(self.ask("GET", path))

    def sessions(self):
        return self.get("/sessions")["sessions"]

    def jobs(self, session=None):
        return self.get(f"/jobs/{session}" if session else "/jobs")["jobs"]

    def job(self, session, label):
        job = Job(self, session, label)
        job.config = job.info()["config"]
        # A configuration without one of them was none.
        job.config["name"], job.config["cmd"]
        return job

    def every_job(self):
        return [Job(self, *name.split(".", 1)) for name in self.jobs()]

    def load(self, session, config):
        self.ask("POST", f"/jobs/{session}", json.dumps(config), "application/json")

    def process(self, pid):
        return self.get(f"/{int(pid)}")


class Job:
    def __init__(self, node, session, label):
        self.node, self.label, self.path = node, label, f"/jobs/{session}/{label}"

    def info(self):
        return self.node.get(self.path)

    def unload(self):
        self.node.ask("DELETE", self.path)

    def to(self, state):
        self.node.ask("POST", f"{self.path}/state", state)

    def active(self):
        return self.node.ask("GET", f"{self.path}/state") == "1"

    def post(self, what, value):
        return json.loads(self.node.ask("POST", f"{self.path}/{what}", json.dumps(value)))


class Socket:
    """A websocket as strict, and as simple, as the original's."""

    def __init__(self, node, path):
        key = base64.b64encode(os.urandom(16))
        self.stream = Stream(node.host, node.port)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {node.host}:{node.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-Websocket-Key: {key.decode()}",
            "Sec-Websocket-Version: 13",
        ]
        self.stream.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        first, fields = self.stream.head()
        assert re.match("HTTP/[^ ]+ 101", first), first
        assert fields["connection"].lower() == "upgrade", fields
        assert fields["upgrade"].lower() == "websocket", fields
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        assert fields["sec-websocket-accept"] == accept, fields
        self.due = time.monotonic() + HEARTBEAT

    def send(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        else:
            assert size <= 0xFFFF
            length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.stream.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def frame(self, beat):
        """The next frame's opcode and payload; `beat` is called when it is time to say that we live."""
        while not self.stream.input:
            left = self.due - time.monotonic()
            if left <= 0:
                beat()
                self.due += HEARTBEAT
            elif select.select([self.stream.socket], [], [], left)[0]:
                self.stream.more()
        first, length = self.stream.take(2)
        opcode = first & 0x0F
        assert first & 0xF0 == 0x80, "a piece, or an extension"
        assert length < 126 or (length < 0x80 and opcode < 8), "masked, or a long one of control"
        if length >= 126:
            length = int.from_bytes(self.stream.take(2 if length == 126 else 8), "big")
        return opcode, self.stream.take(length)

    def messages(self, beat):
        """What is said, until the node says goodbye."""
        while True:
            opcode, payload = self.frame(beat)
            if opcode == 1:
                payload.decode()
            if opcode in (1, 2):
                yield payload
            elif opcode == 8:
                return self.send(8, b"")
            elif opcode == 9:
                self.send(10, payload)
            else:
                assert opcode == 10, opcode

    def close(self):
        self.send(8, b"")
        self.stream.socket.close()


class Channel:
    """A stream of a process: 1 to read, 2 to write."""

    def __init__(self, node, pid, mode, stream):
        path = f"/{pid}/channel/{stream}" if stream else f"/{pid}/channel"
        self.socket = Socket(node, f"{path}?mode={mode}")

    def messages(self):
        for raw in self.socket.messages(lambda: self.socket.send(9, b"")):
            head, body = raw.split(b"\0")
            _, kind, identity = head.split()
            yield kind, identity, body

    def write(self, text):
        """Writes, and waits for the answer. Gives the error, if it is one."""
        identity = uuid.uuid4().hex.encode()
        self.socket.send(1, b"V1 message " + identity + b"\0" + text.encode())
        for kind, known, body in self.messages():
            if kind in (b"response", b"error") and known == identity:
                return json.loads(body) if kind == b"error" else None
        raise EOFError


class Application:
    """The folder's Procfile, if there is one, and what the command line says."""

    LINE = re.compile(r"^([A-Za-z0-9_]+):\s*(.+)$")

    def __init__(self, args):
        self.env = self.read_env()
        self.procfile = None
        if os.path.isfile("Procfile"):
            with open("Procfile") as file:
                found = [self.LINE.match(line) for line in file]
            self.procfile = {match.group(1): match.group(2) for match in found if match}
        folder = os.path.basename(os.getcwd())
        self.folder = folder if self.procfile is not None else None
        asked = getattr(args, "app", None)
        self.name = folder if asked == "." else asked or self.folder or "default"
        if not re.match(r"^[a-z][a-z0-9_+-]*$", self.name):
            raise ValueError(f"Invalid APP name: {self.name!r}")

    @staticmethod
    def read_env():
        if not os.path.isfile(".env"):
            return {}
        with open(".env") as file:
            pairs = [line.split("=", 1) for line in file if "=" in line]
        return {name: value.strip("\n").replace('"', "") for name, value in pairs}

    def split(self, name):
        for mark in "./":
            if mark in name:
                return name.split(mark, 1)
        return [self.name, name]

    def ignores(self, session, label):
        return self.procfile is not None and session == self.folder and label not in self.procfile


def confirmed(args, question):
    if args.no_input:
        return True
    while True:
        answer = input(f"{question} [y]|n: ").lower()
        if answer in ("", "y", "n"):
            return answer != "n"
        print("please enter y or n.")


def jobs_of_file(name):
    if name == "-":
        text = sys.stdin.read()
    elif os.path.isfile(name):
        with open(name) as file:
            text = file.read()
    else:
        raise RuntimeError(f"{name!r} not found")
    value = json.loads(text)
    return value["jobs"] if "jobs" in value else [value]


def apps(node, app, args):
    for session in node.sessions():
        print(session)


def load(node, app, args):
    if args.file:
        for config in jobs_of_file(args.file):
            session, label = app.split(config.pop("name"))
            session = args.app or session
            full = f"{session}.{label}"
            sent = {"name": label, "cmd": config.pop("cmd"), **config, "start": config.get("start", not args.nostart)}
            try:
                node.load(session, sent)
                print(f"{full!r} has been loaded in {node.url}")
            except Conflict:
                print(f"{full!r} already loaded")
        return print(f"{args.file!r} has been loaded")
    if app.procfile is None:
        raise RuntimeError("procfile or job file is missing")
    numbers = dict(item.split("=") for item in args.concurrency)
    with_input = app.env.get("GAFFER_REDIRECT_INPUT", "").split()
    for label, line in app.procfile.items():
        program, *words = shlex.split(line)
        sent = {
            "name": label,
            "cmd": program,
            "args": words,
            "env": app.env,
            "numprocesses": int(numbers.get(label, 1)),
            "redirect_output": ["out", "err"],
            "redirect_input": label in with_input,
            "cwd": os.getcwd(),
            "start": not args.nostart,
        }
        try:
            node.load(app.name, sent)
        except Conflict:
            print(f"{label!r} already loaded")
    print(f"==> {app.name!r} has been loaded in {node.url}")


def each(node, app, args, verb, done, act):
    """What `unload` and `reload` have in common."""
    if not args.jobs and not args.from_file:
        if not confirmed(args, f"Do you want to {verb} {app.name!r}?"):
            return
        if app.name not in node.sessions():
            raise RuntimeError(f"{app.name!r} not found")
        # Every job of the node, by its label alone.
        for job in node.every_job():
            try:
                act(Job(node, app.name, job.label))
                if verb == "reload":
                    print(f"job {job.label!r} {done}")
            except NotFound:
                complain(f"{job.label!r} not found in {app.name!r}")
        return print(f"==> app {app.name!r} {done}")
    names = [config["name"] for config in jobs_of_file(args.from_file)] if args.from_file else args.jobs
    for name in names:
        session, label = app.split(name)
        if args.from_file:
            session = args.app or session
            name = f"{session}.{label}"
        elif app.ignores(session, label):
            print(f"Ignore {label!r}")
            continue
        if not confirmed(args, f"Do you want to {verb} {name!r}?"):
            continue
        try:
            act(Job(node, session, label))
            print(f"job {name!r} {done}")
        except NotFound:
            complain(f"{label if args.from_file else name!r} not found in {session!r}")


def unload(node, app, args):
    each(node, app, args, "unload", "unloaded", Job.unload)


def reload(node, app, args):
    each(node, app, args, "reload", "reloaded", lambda job: job.to("2"))


def ps(node, app, args):
    if app.name not in node.sessions():
        raise RuntimeError(f"{app.name!r} not loaded")
    for name in node.jobs(app.name):
        session, label = app.split(name)
        try:
            job = node.job(session, label)
        except NotFound:
            continue
        if not job.active():
            continue
        stats = node.get(f"{job.path}/stats")
        line = " ".join([job.config["cmd"]] + (job.config.get("args") or []))
        print(f"=== {label}: `{line}`")
        print("Total CPU: %.2f Total MEM: %.2f\n" % (stats["cpu"], stats["mem"]))
        for one in stats["stats"]:
            print(f"{label}.{one['pid']}: up for {one['ctime']}")


def info(node, app, args):
    if args.target.isdigit():
        try:
            process = node.process(args.target)
        except NotFound:
            raise RuntimeError(f"process {args.target!r} not found")
        return print("\n".join(f"{key}: {value}" for key, value in process.items()))
    try:
        told = node.job(*app.split(args.target)).info()
    except NotFound:
        raise RuntimeError(f"job {args.target!r} not found")
    print(f"active: {told['active']}\nrunning: {told['running']}\nnum_processes: {told['max_processes']}")
    print("pids: " + ",".join(str(pid) for pid in told["processes"]))


def scale(node, app, args):
    for item in args.args:
        mark = next(mark for mark in "=+-" if mark in item)
        name, number = item.split(mark)
        session, label = app.split(name)
        # The Procfile is looked at whatever the job's session.
        if app.ignores(app.name, label):
            continue
        full = f"{session}.{label}"
        try:
            now = node.job(session, label).post("numprocesses", {"scale": f"{mark}{int(number)}"})["numprocesses"]
            print(f"Scaling {full} processes... done, now running {now}")
        except NotFound:
            print(f"{full!r} not found")


def to_state(node, app, args, verb, done, state):
    """What `ps:start` and `ps:stop` have in common."""
    if not args.args:
        # Without questions nothing was done.
        if args.no_input or not confirmed(args, f"Do you want to {verb} all jobs in {app.name!r}"):
            return
        if app.name not in node.sessions():
            raise RuntimeError(f"{app.name!r} not found\n")
        for job in node.every_job():
            job.to(state)
            print(f"job {job.label!r} {done}")
        return print(f"==> all jobs in {app.name!r} {done}")
    for name in args.args:
        if not confirmed(args, f"Do you want to {verb} {name!r}"):
            continue
        try:
            if verb == "stop" and name.isdigit():
                node.process(name)
                node.ask("DELETE", f"/{name}")
            else:
                session, label = app.split(name)
                if app.ignores(session, label):
                    print(f"Ignore {name!r}")
                    continue
                node.job(session, label).to(state)
        except NotFound:
            complain(f"{name!r} not found")
            continue
        print(f"{name!r} {done}")


def start(node, app, args):
    to_state(node, app, args, "start", "started", "1")


def stop(node, app, args):
    to_state(node, app, args, "stop", "stopped", "0")


def kill(node, app, args):
    number = int(args.sig) if args.sig.isdigit() else getattr(signal, "SIG" + args.sig.upper().removeprefix("SIG"))
    value = {"signal": int(number)}
    try:
        if args.proc.isdigit():
            node.process(args.proc)
            node.ask("POST", f"/{args.proc}/signal", json.dumps(value), "application/json")
        else:
            session, label = app.split(args.proc)
            if app.ignores(session, label):
                raise NotFound(404)
            # The whole name once more, behind its own session.
            node.job(session, args.proc).post("signal", value)
    except NotFound:
        raise RuntimeError(f"{args.proc!r} not found")
    print(f"{args.sig!r} sent to {args.proc!r}")


def run(node, app, args):
    session, label = app.split(args.job)
    full = f"{session}.{label}"
    seconds = args.graceful_timeout
    if seconds is not None and not seconds.isdigit():
        raise RuntimeError("invalid graceful timeout value")
    env = {**app.env, **dict(pair.split("=") for pair in args.p)}
    wish = {"graceful_timeout": seconds and int(seconds), "env": env}
    try:
        print(f"{full!r}: new process {node.job(session, label).post('commit', wish)['pid']!r} launched")
    except NotFound:
        print(f"{full!r} not found")


def logs(node, app, args):
    channel = Socket(node, "/channel/websocket")
    say = lambda **message: channel.send(1, json.dumps(message).encode())
    say(event="SUB", data={"topic": "EVENTS"})
    wanted = ["job", app.name] + ([args.ps] if args.ps else [])
    for raw in channel.messages(lambda: say(event="NOP")):
        message = json.loads(raw)
        if message["event"] != "gaffer:event":
            continue
        data = message["data"]
        if data["topic"] != "EVENTS" or data["event"].split(".")[: len(wanted)] != wanted:
            continue
        name = data["name"]
        what = f"process with pid {data['pid']}" if "pid" in data else name
        print(f"{time.strftime('%H:%M:%S')} {name} | {data['event']} {what}", flush=True)


def stream_of(args):
    """A process's number and the name of a stream: `pid` and `stream`, or `pid.stream`."""
    pid, mark, stream = args.pid.partition(".")
    if not pid.isdigit():
        raise RuntimeError("invalid <pid> value")
    return pid, stream if mark else args.stream


def send(node, app, args):
    pid, stream = stream_of(args)
    if stream == "stdin":
        stream = None
    try:
        process = node.process(pid)
    except NotFound:
        return print(f"process {pid!r} not found")
    if not stream and not process["redirect_input"]:
        raise RuntimeError("can't write on this process, (no stdin)")
    if stream and stream not in process["custom_streams"]:
        raise RuntimeError(f"stream {stream!r} not found")
    channel = Channel(node, pid, 2, stream)
    data = " ".join(args.data).strip()
    for line in sys.stdin if data == "-" else [data]:
        if data == "-" and line.strip() == ".":
            break
        error = channel.write(line.strip() + "\n")
        if error is not None:
            print(f"Error ({error['errno']}): {error['reason']}")
            break
    channel.socket.close()


def recv(node, app, args):
    pid, stream = stream_of(args)
    try:
        process = node.process(pid)
    except NotFound:
        return print(f"process {pid!r} not found")
    if stream is not None and stream not in process["redirect_output"] + process["custom_streams"]:
        raise RuntimeError(f"can't read on {stream!r}")
    channel = Channel(node, pid, 1, stream)
    for kind, _, body in channel.messages():
        if kind == b"message":
            print(body.decode(), end="", flush=True)


def commands():
    parser = argparse.ArgumentParser(prog="gaffer")
    parser.add_argument("-g", dest="url", default="http://127.0.0.1:5000")
    known = parser.add_subparsers(dest="command", required=True)

    def command(name, act, *arguments):
        one = known.add_parser(name)
        one.set_defaults(act=act)
        for argument in [*arguments, "--app"]:
            words, options = argument if isinstance(argument, tuple) else (argument, {})
            one.add_argument(*words.split(), **options)

    flag, repeated, any_number = {"action": "store_true"}, {"action": "append", "default": []}, {"nargs": "*"}
    no_input, optional = ("--no-input", flag), {"nargs": "?"}
    command("apps", apps)
    command("load", load, ("-c --concurrency", repeated), ("--nostart", flag), ("file", optional))
    command("unload", unload, ("jobs", any_number), "--from-file", no_input)
    command("reload", reload, ("jobs", any_number), "--from-file", no_input)
    command("ps", ps)
    command("ps:info", info, "target")
    command("ps:scale", scale, ("args", {"nargs": "+"}))
    command("ps:start", start, ("args", any_number), no_input)
    command("ps:stop", stop, ("args", any_number), no_input)
    command("ps:kill", kill, "proc", "sig", no_input)
    command("run", run, "job", "--graceful-timeout", ("-p", repeated))
    command("logs", logs, "--ps", ("--no-color", flag))
    command("send", send, ("-s --stream", {}), "pid", ("data", {"nargs": "+"}))
    command("recv", recv, "pid", ("stream", optional))
    return parser


def main():
    args = commands().parse_args()
    try:
        args.act(Node(args.url), Application(args), args)
    except HTTPError as error:
        print(f"HTTP Error: {error}\n")
        return 1
    except RuntimeError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
