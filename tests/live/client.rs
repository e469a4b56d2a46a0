//! The library's own client against the real gafferd.

use gaffer::client::{Address, Channel, Connection, Error, Heard, Server, State};
use serde_json::{json, Map, Value};

use super::node::{Folder, Node};
use super::until::until;

fn server(node: &Node) -> Server {
    Server::new(format!("http://127.0.0.1:{}", node.port).parse().expect("an address"))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

#[test]
fn a_job_is_loaded_scaled_and_unloaded() {
    let node = Folder::new().start();
    let mut server = server(&node);
    server.ping().expect("it answers");
    assert_eq!(server.version().expect("it says"), gaffer::VERSION);
    server.load("t", &object(json!({"name": "a b", "cmd": "sleep 1000"}))).expect("loaded");
    assert_eq!(server.jobs().expect("told"), ["t.a b"]);
    assert_eq!(server.sessions().expect("told"), ["t"]);
    assert_eq!(server.job("t.a b").scale("+1").expect("scaled"), 2);
    until("two run", || server.pids().is_ok_and(|pids| pids.len() == 2));
    let pid = server.pids().expect("told")[0];
    assert_eq!(server.process(pid).info().expect("told")["name"], "t.a b");
    server.job("t/a b").set(State::Stopped).expect("stopped");
    until("none runs", || server.pids().is_ok_and(|pids| pids.is_empty()));
    assert!(!server.job("t.a b").deaths().expect("told").is_empty());
    server.job("t.a b").unload().expect("unloaded");
    assert!(server.job("t.a b").info().is_err_and(|error| error.is_not_found()));
    let error = server.load("t", &object(json!({"name": "x"}))).expect_err("no command");
    assert_eq!(error.to_string(), "cmd is missing");
}

#[test]
fn output_comes_and_input_goes() {
    let node = Folder::new().start();
    let mut server = server(&node);
    let cat = json!({"name": "cat", "cmd": "cat", "redirect_output": ["out", "err"],
        "redirect_input": true, "restart": "never"});
    server.load("t", &object(cat)).expect("loaded");
    until("it runs", || server.pids().is_ok_and(|pids| pids.len() == 1));
    let pid = server.pids().expect("told")[0];
    let mut output = server.process(pid).read("out", Some(0)).expect("a feed");
    server.process(pid).write("stdin", b"hello\n").expect("written");
    assert_eq!(output.read().expect("unbroken").as_deref(), Some(&b"hello\n"[..]));
    let ended = server.ask("POST", &format!("/streams/{pid}/stdin?close=1"), b"").expect("asked");
    assert_eq!(ended.status, 200);
    assert_eq!(output.read().expect("unbroken"), None, "it ends with its process");
}

#[test]
fn the_channel_tells_what_happens() {
    let node = Folder::new().start();
    let mut channel = server(&node).channel().expect("a channel");
    channel.subscribe("EVENTS:spawn", &Map::new()).expect("followed");
    let config = json!({"name": "a", "cmd": "sleep 1000"});
    channel.command("load", &[config]).expect("loaded");
    let Some(Heard::Event { topic, data }) = channel.hear().expect("unbroken") else {
        panic!("an event");
    };
    assert_eq!((topic.as_str(), &data["name"]), ("EVENTS:spawn", &json!("default.a")));
    let error = channel.command("scale", &[json!("default.none"), json!(1)]).expect_err("no job");
    assert!(error.is_not_found(), "{error}");
    let error = channel.subscribe("STREAM:99", &Map::new()).expect_err("no process");
    assert_eq!(error.to_string(), "there is no such process");
    drop(channel);
    let mut server = server(&node);
    until("nothing is left", || {
        let counters = server.ask("GET", "/debug/counters", b"").and_then(|reply| reply.json());
        counters.is_ok_and(|counters| counters["sessions"] == 0 && counters["subscriptions"] == 0)
    });
}

#[test]
fn who_is_not_there_is_told_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    drop(taken);
    let address: Address = format!("http://127.0.0.1:{port}").parse().expect("an address");
    let error = Server::new(address.clone()).ping().expect_err("nobody");
    assert!(error.to_string().ends_with("start one with `gafferd`"), "{error}");
    assert!(matches!(Channel::open(&address.into()), Err(Error::NoNode { .. })));
    let unix: Address = "unix:/no/such".parse().expect("an address");
    assert!(matches!(Connection::open(&unix.into()), Err(Error::NoNode { .. })));
}
