"""Asks circus by its own library for the state of a job: microseconds for one, and questions a second of sixteen."""

import statistics
import sys
import time

from circus.client import CircusClient

COUNT, CROWD = 1000, 16
clients = [CircusClient(endpoint=sys.argv[1]) for _ in range(CROWD)]
times = []
for _ in range(COUNT):
    begun = time.perf_counter()
    answer = clients[0].send_message("status", name="j0")
    times.append(time.perf_counter() - begun)
    assert answer["status"] == "active", answer
begun = time.perf_counter()
for _ in range(COUNT // CROWD):
    for client in clients:
        client.socket.send_string('{"id": "1", "command": "status", "properties": {"name": "j0"}}')
    for client in clients:
        assert b"active" in client.socket.recv_multipart()[-1]
print(statistics.median(times) * 1e6, COUNT // CROWD * CROWD / (time.perf_counter() - begun))
