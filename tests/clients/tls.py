"""Python over TLS, as people have it: its own module for HTTP, and websockets to the channel and to a process.
Whom to trust is in SSL_CERT_FILE.

The websockets are those of asyncio. Those of the module's threads read and write one session of OpenSSL at the
same time, which that is not made for: once in some hundred connections over TLS 1.3 the request is never sent,
as a trace of the system calls shows."""

import asyncio
import http.client
import json
import ssl
import sys

from websockets.asyncio.client import connect

URL, JOB = sys.argv[1:3]
HOST = URL.removeprefix("https://")


def requests_on_one_connection():
    connection = http.client.HTTPSConnection(HOST, context=ssl.create_default_context())
    for _ in range(3):
        connection.request("GET", f"/jobs/{JOB}")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        assert json.load(answer)["state"] == "running"
    connection.close()


def a_body_of_a_megabyte():
    connection = http.client.HTTPSConnection(HOST, context=ssl.create_default_context())
    args = [f"{number:0>1000}" for number in range(900)]
    body = json.dumps({"name": "big", "cmd": "true", "args": args, "start": False})
    connection.request("POST", "/jobs/python", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status < 300, (answer.status, answer.read())
    answer.read()
    connection.request("GET", "/jobs/python/big")
    assert json.load(connection.getresponse())["config"]["args"] == args


async def a_channel(version):
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    async with connect(f"wss://{HOST}/channel/websocket", ssl=context) as socket:
        for identity in range(100):
            message = {"event": "CMD", "data": {"name": "jobs", "identity": identity}}
            await socket.send(json.dumps(message))
        for identity in range(100):
            answer = json.loads(await asyncio.wait_for(socket.recv(), 60))
            assert answer["data"]["id"] == identity, answer


requests_on_one_connection()
a_body_of_a_megabyte()
asyncio.run(a_channel(ssl.TLSVersion.TLSv1_2))
asyncio.run(a_channel(ssl.TLSVersion.TLSv1_3))
