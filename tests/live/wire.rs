//! HTTP over real sockets: many at once, in order, on either socket, and waits that are answered
//! when it is so.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::http::Client;
use super::node::{Folder, Node};
use super::procs;
use super::until::{until, Since};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let node = Folder::new().start();
    let mut client = node.client();
    let mut sent = String::new();
    for n in 0..100 {
        let (method, path, body) = match n % 3 {
            0 => ("GET", format!("/jobs/s{n}"), String::new()),
            1 => (
                "POST",
                "/jobs/p".to_owned(),
                json!({"name": format!("j{n}"), "cmd": "sleep 1000"}).to_string(),
            ),
            _ => ("GET", format!("/jobs/p/j{}/numprocesses", n - 1), String::new()),
        };
        let length = body.len();
        sent += &format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }
    client.send(sent.as_bytes()).expect("sent");
    for n in 0..100 {
        let answer = client.answer().expect("answered");
        match n % 3 {
            0 => assert_eq!(answer.status, 404, "{n}: {}", answer.text()),
            1 => assert_eq!(answer.json(), json!({"ok": true}), "{n}"),
            _ => assert_eq!(answer.json(), json!({"numprocesses": 1}), "{n}"),
        }
    }
    assert_eq!(client.request("GET", "/ping", "").expect("still open").text(), "OK");
}

#[test]
fn a_client_that_is_done_sending_still_has_its_answer() {
    let node = Folder::new().start();
    let stream = TcpStream::connect(("127.0.0.1", node.port)).expect("connected");
    let mut other = stream.try_clone().expect("a second handle");
    other
        .write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut client = Client::over(stream);
    assert_eq!(client.answer().expect("the first").status, 200);
    assert_eq!(client.answer().expect("the second").text(), "OK");
    assert_eq!(client.rest().expect("the end"), b"");
}

#[test]
fn two_hundred_clients_are_served_at_once() {
    let node = Folder::new().start();
    let mut clients: Vec<Client> = (0..200).map(|_| node.client()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.send(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        }
        for client in clients.iter_mut().rev() {
            assert_eq!(client.answer().expect("answered").json(), json!({"jobs": []}));
        }
    }
    let with_clients = procs::fds(node.os_pid);
    assert!(with_clients >= 200);
    drop(clients);
    let closed = || with_clients == 0 || procs::fds(node.os_pid) + 200 <= with_clients;
    until("their descriptors are closed", closed);
}

#[test]
fn the_unix_socket_answers_under_any_name() {
    let node = Folder::new().start();
    let mut client = Client::unix(&node.path("s")).expect("connected");
    for _ in 0..3 {
        let answer = client.request_with("GET", "/jobs", "Host: whatever.example\r\n", "");
        assert_eq!(answer.expect("answered").json(), json!({"jobs": []}));
    }
}

#[test]
fn what_a_web_page_could_send_is_refused() {
    let node = Folder::new().args(&["--origin", "https://ops.example"]).start();
    let job = r#"{"name": "a", "cmd": "touch marker"}"#;
    let refused = |lines: &str, status: u16| {
        let answer = node.client().request_with("POST", "/jobs/t", lines, job).expect("answered");
        assert_eq!(answer.status, status, "{lines}: {}", answer.text());
    };
    let own = format!("Origin: http://localhost:{}\r\nHost: localhost:{0}\r\n", node.port);
    let json = "Content-Type: application/json\r\n";
    refused("Host: rebound.example\r\n", 421);
    refused("Host: 127.0.0.1.example\r\n", 421);
    refused(&format!("Origin: https://evil.example\r\n{json}"), 403);
    refused(&format!("Origin: null\r\n{json}"), 403);
    refused(&format!("Sec-Fetch-Site: cross-site\r\n{json}"), 403);
    refused(&format!("{own}Content-Type: text/plain\r\n"), 415);
    assert_eq!(node.get("/jobs"), json!({"jobs": []}));
    assert!(!node.path("marker").exists());
    let job = r#"{"name": "a", "cmd": "sleep 1000"}"#;
    for (session, lines) in
        [("t", format!("{own}{json}")), ("u", format!("Origin: https://ops.example\r\n{json}"))]
    {
        let path = format!("/jobs/{session}");
        let answer = node.client().request_with("POST", &path, &lines, job).expect("answered");
        assert_eq!(answer.status, 200, "{lines}: {}", answer.text());
    }
}

fn waits(node: &Node, method: &str, path: &str, body: &str, status: u16) -> Duration {
    let since = Since::now();
    let answer = node.ask(method, path, body);
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    since.elapsed()
}

#[test]
fn waits_are_answered_when_it_is_so() {
    let node = Folder::new().start();
    let job = |name: &str, cmd: &str| {
        json!({"name": name, "cmd": cmd, "shell": true, "graceful_timeout": 600}).to_string()
    };
    let good = job("good", "sleep 1000");
    assert!(waits(&node, "POST", "/jobs/t?wait=running", &good, 200) >= Duration::from_millis(990));
    assert_eq!(node.get("/jobs/t/good")["state"], "running");
    let go = node.folder().text("go");
    let slow = job("slow", &format!("trap 'while ! [ -e {go} ]; do sleep 0.05; done; exit' TERM; : > {go}.ready; while :; do sleep 0.05; done"));
    waits(&node, "POST", "/jobs/t?wait=running&timeout=30", &slow, 200);
    until("it is ready", || node.path("go.ready").exists());
    let took = waits(&node, "POST", "/jobs/t/slow/state?wait=stopped&timeout=0.5", "0", 504);
    assert!(took >= Duration::from_millis(490));
    node.folder().write("go", "");
    waits(
        &node,
        "POST",
        "/jobs/t/slow/numprocesses?wait=stopped&timeout=30",
        r#"{"scale": 0}"#,
        200,
    );
    assert_eq!(node.get("/jobs/t/slow")["state"], "stopped");
    waits(&node, "POST", "/jobs/t/slow/numprocesses?wait=running", r#"{"scale": 0}"#, 409);
    let bad = json!({"name": "bad", "cmd": "false", "restart": "never"}).to_string();
    waits(&node, "POST", "/jobs/t?wait=running", &bad, 409);
    waits(&node, "DELETE", "/jobs/t/good?wait=soon", "", 400);
    assert_eq!(node.get("/jobs/t/good")["state"], "running", "a bad wish changes nothing");
    waits(&node, "DELETE", "/jobs/t/good?wait=stopped&timeout=30", "", 200);
    assert_eq!(node.marked(), []);
}

#[test]
fn statistics_are_of_the_whole_group() {
    let node = Folder::new().start();
    let cmd = "sleep 1001 & sleep 1002 & wait";
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true}));
    until("there are three", || node.marked().len() == 3);
    let stats = node.get("/jobs/t/a/stats");
    let one = &stats["stats"][0];
    assert!(one["rss"].as_u64() > Some(100_000), "{stats}");
    assert_eq!(one["threads"], 3, "{stats}");
}

#[test]
fn a_child_that_burns_its_processor_counts_and_its_end_takes_nothing_away() {
    let node = Folder::new().start();
    let go = node.folder().text("go");
    // A child of its own process group would be its own; this one is a job's, three processes deep.
    let burn = "while :; do :; done";
    let cmd = format!(
        "sh -c '{burn}' & child=$!; while ! [ -e {go} ]; do sleep 0.05; done; kill -9 $child; wait; exec sleep 1000"
    );
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true}));
    let cpu = |stats: &serde_json::Value| stats["stats"][0]["cpu"].as_f64().unwrap_or(-1.0);
    let stats = || node.get("/jobs/t/a/stats?pss=1");
    until("the child is seen at work", || cpu(&stats()) > 10.0);
    let now = stats();
    let (rss, pss) = (now["rss"].as_u64(), now["mem_pss"].as_u64());
    assert!(now["mem_pss"].is_null() || (Some(0) < pss && pss <= rss), "{now}");
    assert!(node.get("/jobs/t/a/stats").get("mem_pss").is_none());
    let used = now["cpu_time"].as_f64();
    std::fs::write(&go, "").expect("the folder is there");
    until("its time is gone with it", || {
        let now = stats();
        assert!(cpu(&now) >= 0.0, "{now}");
        now["cpu_time"].as_f64() < used
    });
    let told = node.get("/stats/history?session=t&job=a");
    let row = &told["instances"][0];
    let of = |name: &str| row[name].as_array().map(Vec::len);
    assert_eq!((&row["job"], &row["instance"]), (&json!("t.a"), &json!(1)), "{told}");
    assert!(of("cpu") >= Some(1), "{told}");
    assert_eq!((of("cpu"), of("mem"), of("fds")), (of("mem"), of("threads"), of("threads")));
    let most = |name: &str| {
        let all = row[name].as_array().into_iter().flatten();
        all.filter_map(serde_json::Value::as_f64).fold(0.0, f64::max)
    };
    assert!(most("cpu") > 5.0 && most("mem") > 100_000.0 && most("threads") >= 1.0, "{told}");
    assert_eq!(row["pid"], node.get("/jobs/t/a/pids")["pids"][0]);
}
