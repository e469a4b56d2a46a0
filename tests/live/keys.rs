//! Keys and users of a real gafferd: asked for, kept, told in the log, and never seen there.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{json, Value};

use super::http::{self, Answer, Client};
use super::node::{Folder, Node};
use super::until::until;
use super::ws_client;

/// A node that asks for keys.
fn node() -> Node {
    Folder::new().args(&["--require-key"]).start()
}

/// Asks over the unix socket, where the one who runs the tests needs no key.
pub(crate) fn owner(node: &Node, method: &str, target: &str, body: &Value) -> Value {
    let mut client = Client::unix(&node.path("s")).expect("a socket");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(method, target, &body).expect("answered");
    assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
    answer.json()
}

/// Asks over TCP with a header more.
fn with(node: &Node, header: &str, target: &str) -> Answer {
    let mut client = Client::tcp(node.port).expect("it listens");
    client.request_with("GET", target, &format!("{header}\r\n"), "").expect("answered")
}

/// A key with these permissions, made over the unix socket.
pub(crate) fn minted(node: &Node, permissions: Value) -> String {
    let made = owner(node, "POST", "/keys", &json!({"permissions": permissions}));
    made["api_key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_key_is_asked_for_and_outlives_the_daemon() {
    let mut node = node();
    assert_eq!(node.ask("GET", "/jobs", "").status, 401);
    let key = minted(&node, json!({"manage": ["*"]}));
    let said = format!("X-Api-Key: {key}");
    assert_eq!(with(&node, &said, "/jobs").status, 200);
    for file in ["keys", "users"] {
        let mode = fs::metadata(node.path("state").join(file)).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    node.stop();
    node.start_again();
    assert_eq!(with(&node, &said, "/jobs").status, 200);
    assert_eq!(with(&node, "X-Api-Key: other", "/jobs").status, 403);
    // Only its hash is anywhere.
    for kept in [node.path("state/keys"), node.path("log")] {
        let text = fs::read_to_string(&kept).expect("readable");
        assert!(!text.contains(&key), "{}", kept.display());
    }
    assert!(node.log().contains("audit: uid "), "{}", node.log());
}

#[test]
fn a_damaged_file_of_keys_lets_nobody_in_by_half() {
    let mut node = node();
    minted(&node, json!({"admin": true}));
    minted(&node, json!({"manage": ["*"]}));
    node.stop();
    node.start_again();
    node.stop();
    let path = node.path("state/keys");
    let text = fs::read_to_string(&path).expect("kept");
    fs::write(&path, text.replacen("admin", "Admin", 1)).expect("ours");
    let refused = node.folder().run();
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    for part in ["state/keys is damaged (line 2 is damaged)", "keys.bak"] {
        assert!(refused.said.contains(part), "{}", refused.said);
    }
}

#[test]
fn users_log_in_with_their_passwords() {
    let node = node();
    let made = owner(&node, "POST", "/keys", &json!({"permissions": {"read": ["*"]}}));
    let user = json!({"username": "joe", "password": "s:cret", "key": made["id"]});
    owner(&node, "POST", "/users", &user);
    let basic = |text: &str| format!("Authorization: Basic {}", BASE64.encode(text.as_bytes()));
    let answer = with(&node, &basic("joe:s:cret"), "/auth");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let key = answer.json()["api_key"].as_str().expect("a key").to_owned();
    assert_eq!(with(&node, &format!("X-Api-Key: {key}"), "/stats").status, 200);
    assert_eq!(with(&node, &format!("X-Api-Key: {key}"), "/jobs").status, 403);
    assert_eq!(with(&node, &basic("joe:wrong"), "/auth").status, 401);
    assert_eq!(with(&node, &basic("nobody:wrong"), "/auth").status, 401);
    let kept = fs::read_to_string(node.path("state/users")).expect("kept");
    assert!(kept.contains("$argon2id$") && !kept.contains("s:cret"), "{kept}");
}

#[test]
fn the_socket_is_shared_as_it_is_said() {
    let folder = Folder::new();
    folder.write("g.ini", "[gaffer]\nsocket_group = root\n");
    let node = folder.args(&["-c", "@g.ini"]).start();
    let mode = fs::metadata(node.path("s")).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let folder = Folder::new();
    folder.write("g.ini", "[gaffer]\nsocket_group = nobody-has-this\n");
    let refused = folder.args(&["-c", "@g.ini"]).run();
    assert!(refused.said.contains("socket_group: there is no group"), "{}", refused.said);
}

#[test]
fn an_administrator_is_made_before_the_first_start() {
    let folder = Folder::new();
    folder.write("password", "s3cret\n");
    let make = |name: &str| {
        Folder::of_state(&folder).args(&[
            "--create-admin-user",
            "--username",
            name,
            "--password-file",
            "@password",
        ])
    };
    let admin = make("boss");
    admin.write("password", "s3cret\n");
    let made = admin.run();
    assert_eq!(made.code, Some(0), "{}", made.said);
    let told = admin.read("out");
    let key = told.trim().rsplit(' ').next().expect("a key").to_owned();
    assert_eq!(told, format!("User 'boss' created.\nAPI Key: {key}\n"));
    let again = make("boss");
    again.write("password", "s3cret\n");
    let refused = again.run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.said.contains("username 'boss' already exists"), "{}", refused.said);
    let list = Folder::of_state(&folder).args(&["--list-admins"]);
    assert_eq!(list.run().code, Some(0));
    assert!(list.read("out").starts_with("boss - ") && !list.read("out").contains(&key));
    // Now others may come, even without a socket.
    let node = folder.args(&["--require-key", "--socket", "none"]).start();
    assert_eq!(with(&node, &format!("X-Api-Key: {key}"), "/keys").status, 200);
    let basic = format!("Authorization: Basic {}", BASE64.encode(b"boss:s3cret"));
    assert_eq!(with(&node, &basic, "/auth").status, 200);
}

/// Sends bytes, and reads until this came or the connection is closed.
fn hear(node: &Node, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    stream.write_all(bytes).expect("sent");
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    while !heard.contains(until) {
        match http::read(&mut stream, &mut buffer).expect("read") {
            0 => break,
            count => heard += &String::from_utf8_lossy(&buffer[..count]),
        }
    }
    assert!(heard.contains(until), "{heard}");
    heard
}

/// Says texts on a websocket of the channel.
fn say(node: &Node, texts: &[String], until: &str) -> String {
    let mut bytes = ws_client::handshake("/channel/websocket", "Host: localhost\r\n", "");
    for text in texts {
        bytes.extend(ws_client::frame(ws_client::TEXT, text.as_bytes()));
    }
    hear(node, &bytes, until)
}

#[test]
fn no_secret_is_in_the_log_or_told_to_anybody_else() {
    let node = Folder::new().args(&["--require-key", "--log-level", "trace"]).start();
    let admin = minted(&node, json!({"admin": true}));
    let weak = minted(&node, json!({"create_key": true, "manage": ["t"]}));
    let made = owner(&node, "POST", "/keys", &json!({"permissions": {"read": ["*"]}}));
    let user = json!({"username": "joe", "password": "hush-password", "key": made["id"]});
    owner(&node, "POST", "/users", &user);
    let basic = |text: &str| format!("Authorization: Basic {}", BASE64.encode(text.as_bytes()));
    let login = with(&node, &basic("joe:hush-password"), "/auth").json();
    let login = login["api_key"].as_str().expect("a key").to_owned();
    assert_eq!(with(&node, &basic("joe:hush-guess"), "/auth").status, 401);
    assert_eq!(with(&node, "X-Api-Key: hush-wrong", "/jobs").status, 403);

    // A key may be named by itself in a path, and is found there or not.
    let ask = |key: &str, method: &str, path: &str, body: &str| {
        let lines = format!("X-Api-Key: {key}\r\n");
        node.client().request_with(method, path, &lines, body).expect("answered")
    };
    let encoded = admin.replacen('a', "%61", 1);
    for (key, status) in [(&admin, 200), (&weak, 404)] {
        for named in [&admin, &encoded] {
            assert_eq!(ask(key, "GET", &format!("/keys/{named}"), "").status, status);
            assert_eq!(ask(&weak, "DELETE", &format!("/keys/{named}"), "").status, 404);
            assert_eq!(ask(&weak, "DELETE", &format!("/keys/{named}/x"), "").status, 404);
        }
    }
    let env = json!({"DB_PASSWORD": "hush-env"});
    let job = json!({"name": "env", "cmd": "sh -c 'sleep 1000' $DB_PASSWORD", "env": env});
    assert_eq!(ask(&admin, "POST", "/jobs/t", &job.to_string()).status, 200);
    let none = json!({"name": "none", "cmd": "/no/such $DB_PASSWORD", "env": env});
    assert_eq!(ask(&admin, "POST", "/jobs/t", &none.to_string()).status, 200);
    let half = r#"{"password": "hush-half"#;
    let half = ask(&admin, "PUT", "/users/joe/password", half);
    assert_eq!((half.status, half.text().contains("hush")), (400, false));
    let command = json!({"event": "CMD", "data": {"identity": "i", "name": "jobs"}}).to_string();
    say(&node, &[format!("AUTH:{admin}"), command], "t.env");
    say(&node, &["AUTH:hush-said".to_owned()], "AUTH_REQUIRED");

    let watch = "GET /watch?since=0&feed=continuous HTTP/1.1\r\nHost: localhost\r\n";
    let watch = format!("{watch}X-Api-Key: {admin}\r\n\r\n");
    let events = hear(&node, watch.as_bytes(), "\"t.none\"");
    let mut told = vec![("the events", events)];
    for path in [
        "/debug/counters",
        "/jobs/t/env",
        "/1",
        "/keys?include_keys=1",
        "/users?include_user=1",
        "/",
    ] {
        told.push((path, ask(&admin, "GET", path, "").text()));
    }
    until("all of it is in the log", || node.log().contains("channel"));
    told.push(("the log", node.log()));
    for (place, told) in told {
        assert!(!told.contains("hush") && !told.contains("$argon2id$"), "{place}: {told}");
        for key in [&admin, &encoded, &weak, &login] {
            assert!(!told.contains(key.as_str()), "{place}: {told}");
        }
    }
}
