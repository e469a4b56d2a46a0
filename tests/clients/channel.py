"""The channel over a plain websocket: bad messages, commands, topics, and what is told when."""

from gaffer import closed, node

NODE = node()


def bad_messages_are_told_and_nothing_ends():
    channel = NODE.channel()
    for text, reason in [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ("1", "invalid_json"),
        ("null", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("{}", "event_missing"),
        ('{"event": 1}', "event_missing"),
        ('{"event": "SUB"}', "data_missing"),
        ('{"event": "SUB", "data": []}', "data_missing"),
        ('{"event": "SUB", "data": {}}', "topic_missing"),
        ('{"event": "UNSUB", "data": {"topic": 3}}', "topic_missing"),
        ('{"event": "SUB", "data": {"topic": "EVENTS", "since": -1}}', "invalid_since"),
        ('{"event": "SUB", "data": {"topic": "EVENTS", "since": "1"}}', "invalid_since"),
        ('{"event": "SUB", "data": {"topic": "EVENTS", "interval": -1}}', "invalid_interval"),
        ('{"event": "SUB", "data": {"topic": "EVENTS", "interval": 1e400}}', "invalid_json"),
        ('{"event": "nop"}', "unknown_cmd"),
        ('{"event": "CMD", "data": {"identity": "1"}}', "cmd_name_mssing"),
        ('{"event": "CMD", "data": {"name": "jobs"}}', "cmd_identity_missing"),
        ('{"event": "CMD", "data": {"name": "jobs", "identity": "1", "args": {}}}', "data_missing"),
    ]:
        channel.socket.send(text)
        answer = channel.hear()
        assert answer["event"] == "gaffer:error", (text[:80], answer)
        assert answer["data"]["error"] == "invalid_msg", (text[:80], answer)
        assert answer["data"]["reason"] == reason, (text[:80], answer)
    channel.socket.send("AUTH:whatever")
    channel.socket.send('{"event": "NOP"}')
    channel.socket.send('{"event": "CMD", "data": {"name": "jobs", "identity": 7}}')
    answer = channel.hear()
    assert answer["data"] == {"id": 7, "result": {"jobs": []}}, answer
    channel.socket.send(b'{"event": "NOP"}')
    assert closed(channel.socket)[1] == 1003


def bad_topics_are_refused():
    channel = NODE.channel()
    for topic, reason in [
        ("", "invalid_topic"),
        ("EVENT", "invalid_topic"),
        ("STREAM:x", "invalid_topic"),
        ("STREAM:-1", "invalid_topic"),
        ("STREAM:99999999999999999999999", "invalid_topic"),
        ("STREAM:999", "invalid_process"),
        ("PROCESS:999", "not_found"),
        ("STATS:999", "not_found"),
        ("STATS:t.nobody", "not_found"),
        ("JOB:a b", "invalid_topic"),
        ("EVENTS:" + "x" * 1000, "invalid_topic"),
    ]:
        channel.say("SUB", topic=topic)
        answer = channel.hear()
        assert answer["event"] == "gaffer:subscription_error", (topic, answer)
        assert answer["topic"] == topic and answer["data"]["reason"] == reason, (topic, answer)
    for interval in [0, 0.049, 3601]:
        channel.say("SUB", topic="EVENTS", interval=interval)
        assert channel.hear()["data"]["reason"] == "invalid_interval", interval
    assert NODE.counters()["subscriptions"] == 0
    channel.say("UNSUB", topic="nothing")
    assert channel.hear() == {"event": "gaffer:subscription_success", "topic": "nothing"}


def a_thousand_topics_and_no_more():
    channel = NODE.channel()
    for number in range(1000):
        channel.say("SUB", topic=f"EVENTS:job.s{number}")
    for _ in range(1000):
        assert channel.hear()["event"] == "gaffer:subscription_success"
    channel.say("SUB", topic="EVENTS:one.more")
    assert channel.hear()["data"]["reason"] == "too_many_topics"
    channel.say("SUB", topic="EVENTS:job.s7")
    assert channel.hear()["event"] == "gaffer:subscription_success"


def commands_are_answered_before_what_they_cause():
    channel = NODE.channel()
    channel.subscribe("EVENTS")
    job = {"name": "a", "cmd": "cat", "redirect_input": True, "redirect_output": ["out"], "os_env": True}
    assert channel.command("load", job, sessionid="c") == ({"ok": True}, [])
    told = [m["data"] for m in channel.hear_until(lambda m: m["data"]["event"] == "job.c.a.spawn")]
    assert [t["event"] for t in told] == ["load", "start", "job.c.a.start", "spawn", "job.c.a.spawn"]
    assert all(t["topic"] == "EVENTS" and t["name"] == "c.a" for t in told), told
    numbers = [t["seq"] for t in told]
    assert numbers == list(range(numbers[0], numbers[0] + 5)), numbers
    pid, os_pid = told[-1]["pid"], told[-1]["os_pid"]

    channel.subscribe(f"STREAM:{pid}.out")
    for text in ["plain\n", "ünï©ode 🦀\n", 'quotes " \\ \x00 \x7f\n']:
        assert channel.command("send", pid, text)[0] == {"ok": True}
        echoed = ""
        while len(echoed) < len(text):
            told = channel.hear()["data"]
            assert told["event"] == "out" and told["pid"] == pid and told["name"] == "c.a", told
            echoed += told["data"]
        assert echoed == text
    assert channel.command("send", pid, ["a", "b\n"])[0] == {"ok": True}
    assert channel.hear()["data"]["data"] == "ab\n"

    for name, args, kwargs, error in [
        ("nope", [], {}, (404, "command_not_found")),
        ("scale", ["c.a"], {}, (400, "bad_command")),
        ("scale", ["c.a", "x"], {}, (400, "bad_command")),
        ("scale", ["c.b", 1], {}, (404, "not_found")),
        ("jobs", ["c", "d"], {}, (400, "bad_command")),
        ("jobs", [], {"x": 1}, (400, "bad_command")),
        ("load", [], {}, (400, "config_missing")),
        ("load", [{"name": "a"}], {"sessionid": "c"}, (400, "invalid_config")),
        ("load", [job], {"sessionid": "c"}, (409, "process_conflict")),
        ("kill", [pid, "NOPE"], {}, None),
        ("send", [999, "x"], {}, (404, "not_found")),
        ("send", [pid, "x", "nope"], {}, (404, "stream_not_found")),
    ]:
        failed, _ = channel.command(name, *args, **kwargs)
        assert failed["errno"] >= 400, (name, args, failed)
        assert error is None or (failed["errno"], failed["reason"]) == error, (name, args, failed)

    assert channel.command("jobs")[0] == {"jobs": ["c.a"]}
    assert channel.command("pids", "c.a")[0]["pids"] == [pid]
    assert channel.command("info", "c.a")[0]["info"]["name"] == "c.a"
    assert channel.command("process_info", pid)[0]["info"]["os_pid"] == os_pid
    assert channel.command("stats", "c.a")[0]["stats"]["stats"][0]["pid"] == pid
    assert channel.command("scale", "c.a", "+1")[0] == {"numprocesses": 2}
    assert channel.command("close_stdin", pid)[0] == {"ok": True}
    told = channel.hear_until(lambda m: m["data"].get("event") == "job.c.a.exit")[-1]["data"]
    assert (told["pid"], told["exit_status"], told["term_signal"]) == (pid, 0, 0), told
    assert channel.command("unload", "c.a")[0] == {"ok": True}
    channel.hear_until(lambda m: m["data"].get("event") == "unload")


def statistics_come_as_often_as_wanted():
    pid = NODE.load("busy", cmd="sleep 1000")
    channel = NODE.channel()
    channel.subscribe("STATS:t.busy", interval=0.05)
    channel.subscribe(f"STATS:{pid}")
    seen = {"STATS:t.busy": 0, f"STATS:{pid}": 0}
    while min(seen.values()) < 10:
        told = channel.hear()["data"]
        assert told["event"] == "stat" and told["pid"] == pid and told["mem_info1"], told
        seen[told["topic"]] += 1
    assert seen["STATS:t.busy"] > seen[f"STATS:{pid}"], seen
    # Two subscriptions to one topic are ended one by one.
    channel.subscribe(f"STATS:{pid}")
    for left in [2, 1]:
        channel.say("UNSUB", topic=f"STATS:{pid}")
        channel.hear_until(lambda m: m["event"] == "gaffer:subscription_success")
        assert NODE.counters()["stats_watches"] == left, left
    NODE.does("DELETE", "/jobs/t/busy")


def who_comes_back_is_told_what_was_missed():
    channel = NODE.channel()
    channel.subscribe("EVENTS:load")
    NODE.load("first", cmd="sleep 1000")
    seen = channel.hear()["data"]
    assert seen["name"] == "t.first"
    channel.socket.close()
    NODE.load("second", cmd="sleep 1000")
    channel = NODE.channel()
    channel.subscribe("EVENTS:load", since=seen["seq"])
    assert channel.hear()["data"]["name"] == "t.second"
    # The number of another life: all of this one comes, and that something is lost.
    channel = NODE.channel()
    channel.subscribe("EVENTS:load", since=1)
    assert channel.hear()["event"] == "gaffer:lagged"
    names = [m["data"]["name"] for m in channel.hear_until(lambda m: m["data"]["name"] == "t.second")]
    assert names[-2:] == ["t.first", "t.second"], names
    for name in ["first", "second"]:
        NODE.does("DELETE", f"/jobs/t/{name}?wait=stopped")


bad_messages_are_told_and_nothing_ends()
bad_topics_are_refused()
a_thousand_topics_and_no_more()
commands_are_answered_before_what_they_cause()
statistics_come_as_often_as_wanted()
who_comes_back_is_told_what_was_missed()
