"""Hooks of schemathesis: what it may ask a gafferd, and how it reads answers that do not end.

Nothing that is asked may harm the machine: whatever else is said of a job, its command is one of ours, its
processes are few, and it stays with gafferd and ends with it; webhooks go to nobody. All this stays as it was where
it is not what it should be, so that it is refused as such. And much of what is asked is about something that is
there: names that were made up become those of jobs, processes, users and keys.
"""

import http.client
import json
import os
import socket
from urllib.parse import urlsplit, urlunsplit

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase
from urllib3.exceptions import HTTPError

URL = os.environ["GAFFER_URL"]
KEY = os.environ["GAFFER_KEY"]
# The keys that must stay: the one that asks, and the one that the user has.
KEPT = os.environ["GAFFER_KEPT_KEYS"].split(",")
USER = "joe"
# For how long an answer that goes on is read while nothing comes.
PATIENCE = 0.05
# For how long it may be waited that something comes about.
WAIT = 0.05
# What is loaded again when it was unloaded.
JOBS = {
    # It echoes, and is written to.
    "cat": {"cmd": "cat", "redirect_input": True, "redirect_output": ["out", "err"], "custom_streams": ["extra"]},
    # It ends again and again, so that there are events and deaths.
    "tick": {"cmd": "sleep 0.2", "min_uptime": 0, "redirect_output": ["out"]},
    "web": {"cmd": "sleep 1000", "numprocesses": 2, "env": {"API_TOKEN": "secret"}, "redirect_output": ["out"]},
}

connection = http.client.HTTPConnection(urlsplit(URL).netloc, timeout=10)


def ask(method, path, body=None):
    """Asks past schemathesis, and reads JSON."""
    connection.request(method, path, None if body is None else json.dumps(body), {"X-Api-Key": KEY})
    return json.load(connection.getresponse())


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def harmless_job(config):
    if isinstance(config.get("cmd"), str) and config["cmd"].strip():
        config["cmd"] = "sleep 1000"
        # Whatever they are, they would be words of a shell.
        config.pop("args", None)
    number = config.get("numprocesses")
    if is_number(number) and 2 < number <= 10000:
        config["numprocesses"] = int(number) % 3
    if config.get("detach") is True:
        config["detach"] = False
    harmless_grace(config)


def harmless_grace(body):
    grace = body.get("graceful_timeout")
    if is_number(grace) and WAIT < grace <= 864000:
        body["graceful_timeout"] = WAIT


def harmless_scale(body):
    scale = body.get("scale")
    if is_number(scale) and 2 < scale <= 10000:
        body["scale"] = 1
    elif isinstance(scale, str) and scale.lstrip("+=").isdecimal() and int(scale.lstrip("+=")) > 2:
        body["scale"] = "=1" if scale.startswith("=") else "+1"


def harmless_webhook(body):
    """An address at which nobody listens, with the path that was made up."""
    if not isinstance(body.get("url"), str):
        return
    try:
        url = urlsplit(body["url"])
    except ValueError:
        body["url"] = "http://"
        return
    if url.scheme in ("http", "https") and url.netloc:
        body["url"] = urlunsplit((url.scheme, "127.0.0.1:9", url.path, url.query, url.fragment))


def harmless_query(query):
    """Nothing is waited for long."""
    if not isinstance(query, dict):
        return
    for name, unsaid, least, most in [("timeout", 60, 0, 3600), ("interval", 1, 0.05, 3600)]:
        is_said = name in query or name == "timeout" and "wait" in query
        try:
            seconds = float(query.get(name, unsaid))
        except (TypeError, ValueError):
            continue
        if is_said and WAIT < seconds <= most and seconds >= least:
            query[name] = WAIT


HARMLESS = {
    ("POST", "/jobs/{session}"): harmless_job,
    ("PUT", "/jobs/{session}/{job}"): harmless_job,
    ("POST", "/jobs/{session}/{job}/commit"): harmless_grace,
    ("POST", "/jobs/{session}/{job}/numprocesses"): harmless_scale,
    ("POST", "/webhooks"): harmless_webhook,
}

# What is there, as it was asked for last; nothing where it may have changed.
known = {}


def there(what):
    if what not in known:
        lists = {"pids": "/pids", "users": "/users", "keys": "/keys", "webhooks": "/webhooks", "jobs": "/jobs"}
        known[what] = ask("GET", lists[what])[what]
    return known[what]


def names(part):
    """What a part of a path may be so that it is about something."""
    if part == "pid":
        return there("pids")
    if part == "user":
        return [user for user in there("users") if user != USER]
    if part == "key":
        return [key for key in there("keys") if key not in KEPT]
    if part == "hook":
        return [hook["id"] for hook in there("webhooks")]
    return {
        "session": ["app"],
        "job": list(JOBS),
        "instance": [1, 2],
        "label": ["out", "stdin", "extra"],
        "name": ["site"],
        "rest": ["index.html", "page.css", "more/page.txt", "more"],
        "part": ["job", "exit", "spawn"],
        "part2": ["app"],
        "part3": ["tick"],
        "part4": ["exit", "spawn"],
    }[part]


def pick(value, among):
    """One of these, or the value itself: always the same for the same value."""
    number = sum(str(value).encode(errors="replace"))
    return among[number % len(among)] if among and number % 5 else value


def put_back():
    if "jobs" in known:
        return
    for name, config in JOBS.items():
        if f"app.{name}" not in there("jobs"):
            ask("POST", "/jobs/app", {"name": name, **config})
    known.pop("pids", None)


def be_about_something(case):
    parts = case.path_parameters
    if not isinstance(parts, dict):
        return
    for name, value in parts.items():
        parts[name] = pick(value, names(name))
    if isinstance(case.body, dict):
        key_names = [name for name in ("key", "parent") if isinstance(case.body.get(name), str)]
        for name in key_names:
            case.body[name] = KEPT[len(case.body[name]) % len(KEPT)]
        if case.method.upper() == "PUT" and isinstance(case.body.get("name"), str) and "job" in parts:
            case.body["name"] = parts["job"]


@schemathesis.hook
def before_call(context, case, kwargs):
    method, parts = case.method.upper(), case.path_parameters
    # What was made in a row of requests is asked for by its own name, and what is no name stays so.
    meta = case.meta
    if not meta or meta.phase.name != TestPhase.STATEFUL:
        put_back()
        if not meta or not meta.is_negative_at(ParameterLocation.PATH):
            be_about_something(case)
    if method not in ("GET", "HEAD", "OPTIONS"):
        known.clear()
    harmless = HARMLESS.get((method, case.operation.path))
    if harmless and isinstance(case.body, dict):
        harmless(case.body)
    harmless_query(case.query)
    # Whoever asks goes on to do so.
    if method != "GET" and isinstance(parts, dict):
        if parts.get("user") == USER:
            parts["user"] = "nobody"
        if parts.get("key") in [*KEPT, KEY]:
            parts["key"] = "0" * 16


def beginning(response):
    """What comes first of an answer that goes on."""
    came = b""
    try:
        response.raw.connection.sock.settimeout(PATIENCE)
        while b"\n" not in came:
            piece = response.raw.read1(65536)
            if not piece:
                break
            came += piece
    except (socket.timeout, HTTPError):
        pass
    response.close()
    return came


send = requests.Session.request


def send_patiently(self, *args, **kwargs):
    """Sends a request. Of an answer that goes on it reads what comes first, and leaves."""
    response = send(self, *args, **kwargs)
    kind = response.headers.get("Content-Type", "")
    if response.status_code == 101:
        # What follows is no HTTP.
        if response.raw.connection:
            response.raw.connection.close()
        response._content, response._content_consumed = b"", True
    elif response.headers.get("X-Accel-Buffering") != "no":
        pass
    elif kind.startswith("text/event-stream"):
        response.raw.connection.sock.settimeout(PATIENCE)
    else:
        came = beginning(response)
        if kind.startswith("application/json") and not came.strip():
            # There is nothing to tell yet; then let it be what was told before, or is told at once.
            path = urlsplit(response.url).path
            came = json.dumps(ask("GET", path if path.startswith("/stats") else "/watch?since=0")).encode()
        response._content, response._content_consumed = came, True
    return response


requests.Session.request = send_patiently


@schemathesis.deserializer("text/html")
def read_text(context, response):
    return response.text


@schemathesis.deserializer("application/octet-stream")
def read_bytes(context, response):
    return response.content.decode(errors="replace")
