"""The websockets of processes: `V1` frames, text and binary, and plain ones."""

import json
import threading

from gaffer import closed, node, until
from websockets.exceptions import ConnectionClosed

NODE = node()


def frame(kind, identity, body):
    return f"V1 {kind} {identity}".encode() + b"\0" + (body if isinstance(body, bytes) else body.encode())


def parsed(message):
    """A frame's type, id and body, and whether it came as text."""
    raw = message.encode() if isinstance(message, str) else message
    head, body = raw.split(b"\0", 1)
    magic, kind, identity = head.decode().split(" ")
    assert magic == "V1", head
    return kind, identity, body, isinstance(message, str)


def output(socket, size):
    """So much output, and the answers between."""
    written, answers = b"", []
    while len(written) < size:
        kind, identity, body, _ = parsed(socket.recv(timeout=30))
        if kind == "message":
            written += body
        else:
            answers.append((kind, identity, body))
    return written, answers


def what_is_written_comes_back_in_frames():
    pid = NODE.load("echo", "cat", redirect_input=True, redirect_output=["out"])
    socket = NODE.socket(f"/{pid}/channel")
    every_byte = bytes(range(256))
    for number, body in enumerate([b"text\n", every_byte, "ünï 🦀".encode(), b"\0\0", b"x" * 1_000_000]):
        socket.send(frame("message", f"id{number}", body))
        written, answers = output(socket, len(body))
        assert written == body, (number, len(written))
        while not answers:
            kind, identity, answer, _ = parsed(socket.recv(timeout=30))
            answers.append((kind, identity, answer))
        assert answers == [("response", f"id{number}", b"OK")], answers
    # As text, too; and a key is never the process's.
    socket.send(frame("message", "key", "AUTH:secret").decode())
    assert parsed(socket.recv(timeout=30))[:3] == ("response", "key", b"OK")
    socket.send(frame("message", "t", "as text").decode())
    assert output(socket, 7)[0] == b"as text"
    # What is UTF-8 comes as text, and what is not as bytes.
    socket.send(frame("message", "b", b"\xff\xfe"))
    seen = [parsed(socket.recv(timeout=30)) for _ in range(2)]
    told = [(body, as_text) for kind, _, body, as_text in seen if kind == "message"]
    assert told == [(b"\xff\xfe", False)], seen

    reader = NODE.socket(f"/{pid}/channel?mode=1")
    writer = NODE.socket(f"/{pid}/channel?mode=2")
    writer.send(frame("message", "w", "only written"))
    assert parsed(writer.recv(timeout=30))[:3] == ("response", "w", b"OK")
    assert output(reader, 12)[0] == b"only written"
    reader.send(frame("message", "r", "x"))
    kind, identity, body, _ = parsed(reader.recv(timeout=30))
    assert (kind, identity) == ("error", "r") and json.loads(body)["errno"] == 403, body
    for bad in ["no nul", b"\xff\0x", "V1 message\0x"]:
        broken = NODE.socket(f"/{pid}/channel?mode=2")
        broken.send(bad)
        assert closed(broken)[1] == 1007, bad
    NODE.does("DELETE", f"/{pid}")
    heard, code, reason = closed(writer)
    assert code == 1000 and reason == f"process {pid} ended: killed by SIGTERM", (code, reason)
    kind, identity, body, _ = parsed(heard[-1])
    assert (kind, identity) == ("response", "gaffer_exit"), heard
    assert json.loads(body)["term_signal"] == 15, body
    NODE.does("DELETE", "/jobs/t/echo?wait=stopped")


def streams_have_names():
    script = "echo to-out; echo to-err >&2; while read line <&3; do echo custom:$line >&3; done"
    pid = NODE.load("named", script, redirect_output=["out", "err"], custom_streams=["ctl"])
    socket = NODE.socket(f"/{pid}/channel/ctl")
    socket.send(frame("message", "1", "hello\n"))
    assert output(socket, 13)[0] == b"custom:hello\n"
    for path, error in [
        (f"/{pid}/channel/nope", "ENOENT"),
        (f"/{pid}/channel?mode=2", "EPERM"),
        ("/999/channel", "not_found"),
        ("/99999999999999999999999/channel", "not_found"),
    ]:
        heard, code, _ = closed(NODE.socket(path))
        kind, identity, body, _ = parsed(heard[0])
        assert (kind, identity) == ("error", "gaffer_error") and code == 1008, (path, heard, code)
        assert json.loads(body)["error"] == error, (path, body)
    for path, status in [(f"/{pid}/channel?mode=4", 400), (f"/{pid}/channel", 400)]:
        assert NODE.ask("GET", path)[0] == status, path
    NODE.does("DELETE", "/jobs/t/named?wait=stopped")


def plain_sockets_carry_bytes():
    pid = NODE.load("plain", "cat", redirect_input=True, redirect_output=["out"])
    one, two = NODE.socket(f"/wstreams/{pid}"), NODE.socket(f"/wstreams/{pid}")
    one.send("text\n")
    assert [one.recv(timeout=30), two.recv(timeout=30)] == ["text\n"] * 2
    two.send(b"\xff\x00")
    assert [one.recv(timeout=30), two.recv(timeout=30)] == [b"\xff\x00"] * 2
    # A megabyte in both directions at once.
    sent = b"0123456789abcdef" * 65536
    writing = threading.Thread(target=lambda: [two.send(sent[at : at + 4096]) for at in range(0, len(sent), 4096)])
    writing.start()
    came = b""
    while len(came) < len(sent):
        message = two.recv(timeout=30)
        came += message.encode() if isinstance(message, str) else message
    writing.join()
    assert came == sent
    heard, code, _ = closed(NODE.socket("/wstreams/999"))
    assert json.loads(heard[0])["error"] == "not_found" and code == 1008, heard
    NODE.does("DELETE", "/jobs/t/plain?wait=stopped")
    assert closed(two)[1] == 1000


def who_writes_more_than_is_read_waits():
    pid = NODE.load("deaf", "while [ ! -e go ]; do sleep 0.05; done; exec cat", redirect_input=True, redirect_output=["out"])
    writer, reader = NODE.socket(f"/{pid}/channel?mode=2"), NODE.socket(f"/{pid}/channel?mode=1")
    for number in range(5):
        writer.send(frame("message", str(number), b"z" * 500_000))
    answered = [parsed(writer.recv(timeout=30))[1] for _ in range(2)]
    assert answered == ["0", "1"]
    until("the third waits", lambda: NODE.counters()["writers"] == 1)
    assert NODE.counters()["input_bytes"] <= 1024 * 1024
    NODE.load("go", "touch go; exec sleep 1000")
    assert output(reader, 2_500_000)[0] == b"z" * 2_500_000
    assert [parsed(writer.recv(timeout=30))[1:3] for _ in range(3)] == [(str(n), b"OK") for n in [2, 3, 4]]
    # One byte more than a process can be owed is never taken.
    writer.send(frame("message", "big", b"z" * (1024 * 1024 + 1)))
    kind, identity, body, _ = parsed(writer.recv(timeout=30))
    assert (kind, identity) == ("error", "big"), body
    for name in ["deaf", "go"]:
        NODE.does("DELETE", f"/jobs/t/{name}?wait=stopped")


what_is_written_comes_back_in_frames()
streams_have_names()
plain_sockets_carry_bytes()
who_writes_more_than_is_read_waits()
