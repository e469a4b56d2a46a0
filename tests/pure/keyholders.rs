//! What somebody tries who has no key, a weak one, or a password: to be taken for another, to get more
//! than he has, to keep it when it is taken away, or to hold up everybody else.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::BASE64;
use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::base::sorted::SortedSet;
use gaffer::front::access::Access;
use gaffer::front::passwords::{perform, Outcome, Task};
use gaffer::front::peer::Peer;
use gaffer::node::gaffer::Legacy;
use gaffer::node::keys::door::Keeping;
use gaffer::node::keys::key::{hash, Key, KeyId};
use gaffer::node::routes::ROUTES;
use gaffer::wire::http::Method;
use serde_json::{json, Value};

use crate::driven::Driven as _;
use crate::fake_node::{open, FakeNode};
use crate::permissions::{ask, key, node, node_of, opened, path, request};
use crate::ws_client::Said;

/// The id of one of the keys there are.
fn id(secret: &str) -> String {
    KeyId::of(&hash(secret)).to_string()
}

/// Sends a request with these fields, and does not wait for its answer.
fn send(node: &mut FakeNode, line: &str, fields: &str, body: &str) -> ConnId {
    let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
    send_from(node, Peer::Tcp { remote, tls: None }, line, fields, body)
}

fn send_from(node: &mut FakeNode, peer: Peer, line: &str, fields: &str, body: &str) -> ConnId {
    let conn = node.connect(peer);
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    );
    node.send(conn, text.as_bytes(), &mut || usize::MAX);
    conn
}

/// Takes an answer: its status, 0 for none yet, and its text.
fn take(node: &mut FakeNode, conn: ConnId) -> (u16, String) {
    let text = String::from_utf8_lossy(&node.take_answer(conn)).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap_or(0), text)
}

fn with_key(secret: &str) -> String {
    format!("X-Api-Key: {secret}\r\n")
}

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{name}:{password}").as_bytes()))
}

fn login(node: &mut FakeNode, name: &str, password: &str) -> u16 {
    let conn = send(node, "GET /auth", &basic(name, password), "");
    node.go_on();
    take(node, conn).0
}

/// The hash of a password, as it is kept.
fn hashed(password: &str) -> String {
    match perform(&Task::Make { password: password.into(), salt: [1; 16] }) {
        Outcome::Made(hash) => hash,
        Outcome::Checked(_) | Outcome::Failed(_) => panic!("it is not hashed"),
    }
}

/// Does something as an administrator.
fn admin(node: &mut FakeNode, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, told) = ask(node, method, path, Some("admin"), &body);
    assert_eq!(status, 200, "{method} {path} {body}: {told}");
    serde_json::from_str(&told).expect("JSON")
}

/// A key of its own for a clerk who may make users for the session `app`.
fn clerk(node: &mut FakeNode) -> (String, String) {
    let permissions = json!({"create_user": true, "create_key": true, "manage": ["app"]});
    let made = admin(node, "POST", "/keys", &json!({"permissions": permissions}));
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("api_key"), text("id"))
}

#[test]
fn a_key_is_said_in_its_own_field_and_nowhere_else() {
    let mut node = node();
    for (line, fields) in [
        ("GET /jobs?api_key=admin", ""),
        ("GET /jobs?key=admin", ""),
        ("GET /jobs?X-Api-Key=admin", ""),
        ("GET /jobs", "Cookie: X-Api-Key=admin\r\n"),
        ("GET /jobs", "Authorization: Bearer admin\r\n"),
        ("GET /jobs", "Authorization: Basic YWRtaW46YWRtaW4=\r\n"),
        ("GET /jobs", "Api-Key: admin\r\n"),
        ("GET /jobs", "X_Api_Key: admin\r\n"),
    ] {
        let conn = send(&mut node, line, fields, "");
        assert_eq!(take(&mut node, conn).0, 401, "{line} {fields}");
    }
    let conn = send(&mut node, "GET /jobs?api_key=admin", &with_key("nothing"), "");
    assert_eq!(take(&mut node, conn).0, 403, "what the field says counts");
    for twice in [["admin", "admin"], ["nothing", "admin"], ["admin", "nothing"]] {
        let fields = twice.map(with_key).concat();
        let conn = send(&mut node, "GET /jobs", &fields, "");
        assert_eq!(take(&mut node, conn).0, 400, "{twice:?}");
    }
    let conn = send(&mut node, "GET /jobs", "x-API-key:  admin \t\r\n", "");
    assert_eq!(take(&mut node, conn).0, 200);
}

#[test]
fn whatever_is_said_for_a_key_it_is_refused_alike() {
    let mut node = node();
    let whole: String = hash("admin").iter().map(|byte| format!("{byte:02x}")).collect();
    let (own, huge) = (id("admin"), "x".repeat(60_000));
    let mut told = SortedSet::new();
    for said in [
        "",
        "wrong",
        "Admin",
        "admi",
        "adminn",
        "admin admin",
        "admi\u{301}n",
        "*",
        "null",
        &own,
        &whole,
        &huge,
    ] {
        let conn = send(&mut node, "GET /jobs", &with_key(said), "");
        let (status, text) = take(&mut node, conn);
        assert_eq!(status, 403, "{text}");
        told.insert(text);
    }
    assert_eq!(told.len(), 1, "{told:?}");
    for broken in
        ["X-Api-Key: adm\0in\r\n", "X-Api-Key: admin\r\n admin\r\n", "X-Api-Key : admin\r\n"]
    {
        let conn = send(&mut node, "GET /jobs", broken, "");
        assert_eq!(take(&mut node, conn).0, 400, "{broken:?}");
    }
}

#[test]
fn who_has_no_key_learns_nothing_of_what_there_is() {
    let mut node = node();
    // The files of sites and of the dashboard are everybody's.
    let others = |pattern: &str| {
        pattern.contains("channel")
            || ["/_plugin/", "/_dashboard"].iter().any(|own| pattern.starts_with(own))
    };
    for route in ROUTES.iter().filter(|route| !others(route.pattern)) {
        let told = |node: &mut FakeNode, path: &str| ask(node, route.method.name(), path, None, "");
        let there = path(route.pattern);
        let none = there.replace("app", "none").replace("joe", "none").replace("/1", "/99");
        let none = none.replace(&id("harmless"), "none");
        let answer = told(&mut node, &there);
        if answer.0 != 200 && route.pattern != "/wstreams/#pid" {
            assert_eq!(answer.0, 401, "{there}");
            assert_eq!(answer, told(&mut node, &none), "{there} and {none}");
        }
    }
}

#[test]
fn an_unknown_user_is_refused_like_one_with_another_password_and_costs_as_much() {
    let mut node = node();
    node.busy = true;
    let answers = ["joe", "nobody"].map(|name| {
        let conn = send(&mut node, "GET /auth", &basic(name, "wrong"), "");
        assert_eq!(take(&mut node, conn).0, 0, "{name} waits for the worker");
        assert_eq!(node.go_on(), 1, "something is hashed for {name}");
        take(&mut node, conn)
    });
    assert_eq!(answers[0].0, 401);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn passwords_beyond_those_that_may_wait_are_turned_away() {
    let mut node = node();
    node.busy = true;
    let place = |n: usize| {
        let host = u8::try_from(n).expect("few");
        Peer::Tcp { remote: SocketAddr::from(([10, 0, 0, host], 1)), tls: None }
    };
    let from = |node: &mut FakeNode, n: usize| {
        send_from(node, place(n), "GET /auth", &basic(&format!("u{n}"), "x"), "")
    };
    let waiting: Vec<ConnId> = (0..limits::PASSWORDS_WAITING).map(|n| from(&mut node, n)).collect();
    let conn = from(&mut node, limits::PASSWORDS_WAITING);
    let (status, told) = take(&mut node, conn);
    assert!(status == 503 && told.contains("Retry-After: 1"), "{told}");
    // Meanwhile everything else is answered.
    assert_eq!(ask(&mut node, "GET", "/jobs", Some("admin"), "").0, 200);
    assert_eq!(node.go_on(), limits::PASSWORDS_WAITING);
    for conn in waiting {
        assert_eq!(take(&mut node, conn).0, 401);
    }
    let conn = from(&mut node, 100);
    assert_eq!(take(&mut node, conn).0, 0, "there is room again");
}

#[test]
fn a_login_under_way_counts_for_nothing_once_the_password_is_another() {
    for (change, body) in [
        ("PUT /users/ann", json!({"password_hash": hashed("new")})),
        ("DELETE /users/ann", Value::Null),
    ] {
        let mut node = node();
        let ann =
            json!({"username": "ann", "password_hash": hashed("old"), "key": id("manage all")});
        admin(&mut node, "POST", "/users", &ann);
        let keys = admin(&mut node, "GET", "/keys", &Value::Null);
        node.busy = true;
        let conn = send(&mut node, "GET /auth", &basic("ann", "old"), "");
        let (method, path) = change.split_once(' ').expect("two words");
        admin(&mut node, method, path, &body);
        node.go_on();
        let (status, told) = take(&mut node, conn);
        assert_eq!(status, 401, "{change}: {told}");
        assert_eq!(admin(&mut node, "GET", "/keys", &Value::Null), keys, "{change}");
    }
}

#[test]
fn a_better_hash_never_brings_an_old_password_back() {
    // `secret`, as the original hashed it.
    const OLD: &str = "PBKDF2-256$5f4dcc3b5aa765d61d8327deb882cf99:1000$8a1c39a37fdcb09b8e3fc302699c0a2e4f1cc142cd5ce15d";
    let mut node = node();
    let user = json!({"username": "ann", "password_hash": OLD, "key": id("manage all")});
    admin(&mut node, "POST", "/users", &user);
    node.busy = true;
    let conn = send(&mut node, "GET /auth", &basic("ann", "secret"), "");
    assert_eq!(node.go_on(), 1);
    assert_eq!(take(&mut node, conn).0, 200);
    // The better hash is being made, and the password is changed at once.
    let new = json!({"password_hash": hashed("new"), "key": id("manage all")});
    admin(&mut node, "PUT", "/users/ann", &new);
    assert_eq!(node.go_on(), 1);
    assert_eq!(login(&mut node, "ann", "secret"), 401);
    assert_eq!(login(&mut node, "ann", "new"), 200);
}

#[test]
fn a_change_under_way_lands_on_nobody_whom_it_was_not_meant_for() {
    let harmless = |node: &mut FakeNode| {
        let (clerk, id) = clerk(node);
        let user = json!({"username": "ann", "password_hash": hashed("ann's")});
        admin(node, "POST", "/users", &user);
        node.busy = true;
        (clerk, id)
    };
    let lands = |node: &mut FakeNode, conn: ConnId| {
        assert_eq!(node.go_on(), 1);
        take(node, conn).0
    };
    let password = |node: &mut FakeNode, secret: &str| {
        send(node, "PUT /users/ann/password", &with_key(secret), r#"{"password": "mine"}"#)
    };

    // She gets rights that the clerk has not, while the clerk gives her a password of his.
    let mut raised = node();
    let (secret, _) = harmless(&mut raised);
    let conn = password(&mut raised, &secret);
    admin(&mut raised, "PUT", "/users/ann/key", &json!({"key": id("admin")}));
    assert_eq!(lands(&mut raised, conn), 409);
    assert_eq!(login(&mut raised, "ann", "mine"), 401);

    let mut deleted = node();
    let (secret, _) = harmless(&mut deleted);
    let conn = password(&mut deleted, &secret);
    admin(&mut deleted, "DELETE", "/users/ann", &Value::Null);
    assert_eq!(lands(&mut deleted, conn), 404);
    assert_eq!(ask(&mut deleted, "GET", "/users/ann", Some("admin"), "").0, 404);

    // The clerk loses his key.
    for line in ["PUT /users/ann/password", "PUT /users/ann", "POST /users"] {
        let mut node = node();
        let (secret, own) = harmless(&mut node);
        let body = json!({"username": "bob", "password": "mine"}).to_string();
        let conn = send(&mut node, line, &with_key(&secret), &body);
        admin(&mut node, "DELETE", &format!("/keys/{own}"), &Value::Null);
        assert_eq!(lands(&mut node, conn), 403, "{line}");
        assert_eq!(login(&mut node, "ann", "mine"), 401, "{line}");
        assert_eq!(ask(&mut node, "GET", "/users/bob", Some("admin"), "").0, 404, "{line}");
    }

    // Two take one name at once.
    let mut twice = node();
    twice.busy = true;
    let body = json!({"username": "bob", "password": "x"}).to_string();
    let conns = [(); 2].map(|()| send(&mut twice, "POST /users", &with_key("create_user"), &body));
    assert_eq!(twice.go_on(), 2);
    assert_eq!(conns.map(|conn| take(&mut twice, conn).0), [200, 409]);
}

#[test]
fn nobody_gives_a_user_rights_that_he_has_not() {
    let mut node = node();
    let (secret, own) = clerk(&mut node);
    let create = |node: &mut FakeNode, more: Value| {
        let mut body = json!({"username": "eve", "password": "x"});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        let (status, told) = ask(node, "POST", "/users", Some(&secret), &body.to_string());
        if status == 200 {
            admin(node, "DELETE", "/users/eve", &Value::Null);
        }
        (status, told)
    };
    for kind in [
        json!("0"),
        json!(0.0),
        json!(-1),
        json!(false),
        json!([]),
        json!([0]),
        json!({}),
        json!(""),
    ] {
        let (status, told) = create(&mut node, json!({"user_type": kind}));
        assert_eq!(status, 400, "{kind}: {told}");
    }
    assert_eq!(create(&mut node, json!({"user_type": 0})).0, 403);
    for more in [
        json!({"key": id("admin")}),
        json!({"key": "admin"}),
        json!({"key": id("manage all")}),
        json!({"key": id("read all")}),
        json!({"password_hash": hashed("x"), "password": null}),
    ] {
        assert_eq!(create(&mut node, more.clone()).0, 403, "{more}");
    }
    assert_eq!(create(&mut node, json!({"key": own})).0, 200);
    // Nor to himself, or to one who has more already.
    admin(&mut node, "POST", "/users", &json!({"username": "clerk", "password": "c", "key": own}));
    let boss = json!({"username": "boss", "password": "b", "key": id("admin")});
    admin(&mut node, "POST", "/users", &boss);
    for (path, body) in [
        ("/users/clerk/key", json!({"key": id("admin")})),
        ("/users/clerk", json!({"password": "c", "user_type": 0})),
        ("/users/clerk", json!({"password": "c", "key": id("admin")})),
        ("/users/boss/password", json!({"password": "c"})),
        ("/users/boss/key", json!({"key": null})),
        ("/users/boss", json!({"password": "c"})),
    ] {
        let (status, told) = ask(&mut node, "PUT", path, Some(&secret), &body.to_string());
        assert_eq!(status, 403, "{path} {body}: {told}");
    }
    assert_eq!(ask(&mut node, "DELETE", "/users/boss", Some(&secret), "").0, 403);
}

#[test]
fn nobody_hangs_a_key_below_anothers_or_makes_it_more_than_his_own() {
    let mut node = node();
    let (secret, own) = clerk(&mut node);
    let create = |node: &mut FakeNode, body: Value| {
        let (status, told) = ask(node, "POST", "/keys", Some(&secret), &body.to_string());
        let made: Value = serde_json::from_str(&told).expect("JSON");
        (status, made["api_key"].as_str().unwrap_or_default().to_owned())
    };
    for parent in [id("admin"), "admin".into(), id("manage job")] {
        assert_eq!(create(&mut node, json!({ "parent": parent })).0, 403, "{parent}");
    }
    let said = json!({"key": "chosen", "login": "joe", "created": 0, "hash": "00", "parent": own,
        "permissions": {"manage": ["app.web"]}});
    let (status, child) = create(&mut node, said);
    assert_eq!(status, 200);
    let told = admin(&mut node, "GET", &format!("/keys/{}", id(&child)), &Value::Null);
    assert_eq!(told["parent"], own);
    assert!(told["login"].is_null() && told["key"] == id(&child), "{told}");
    assert_eq!(ask(&mut node, "GET", "/jobs", Some("chosen"), "").0, 403);
    assert_eq!(ask(&mut node, "GET", "/users/joe", Some(&child), "").0, 403, "he is not joe");
    // With the key that it came from it goes, and so does who stays with it.
    let (session, _) = opened(&mut node, "/channel/websocket", Some(&child));
    admin(&mut node, "DELETE", &format!("/keys/{own}"), &Value::Null);
    let told = crate::permissions::frames(node.take_answer(session));
    assert!(matches!(&told[..], [Said::Close(1008, _)]), "{told:?}");
    for gone in [&child, &secret] {
        assert_eq!(ask(&mut node, "GET", "/jobs/app/web", Some(gone), "").0, 403);
    }
}

#[test]
fn ten_thousand_keys_whose_time_is_over_make_room_for_the_next() {
    let over = UNIX_EPOCH + Duration::from_secs(1);
    let mut keys = vec![key("admin", &json!({"admin": true}))];
    let parent = Some(keys[0].id());
    keys.extend((1..limits::KEYS).map(|n| Key {
        expires: Some(over),
        parent: parent.clone(),
        ..key(&format!("k{n}"), &json!({}))
    }));
    let kept = keys.iter().map(|key| (key.id().to_string(), key.to_value())).collect();
    let legacy = Legacy { keys: kept, ..Legacy::default() };
    let keeping = Keeping { require_key: true, owners: SortedSet::new(), root: false };
    let mut node = FakeNode::kept(Access::default(), legacy, keeping);
    let count = |node: &mut FakeNode| {
        admin(node, "GET", "/keys", &Value::Null)["keys"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count(&mut node), limits::KEYS);
    assert_eq!(ask(&mut node, "POST", "/keys", Some("admin"), "{}").0, 200);
    assert_eq!(count(&mut node), 2);
}

#[test]
fn a_secret_in_a_command_line_is_seen_by_nobody_who_does_not_see_it_in_the_environment() {
    let mut node = node();
    let env = json!({"API_TOKEN": "hush-hush", "TOKEN2": "hush", "KEY_NO": "1", "MODE": "fast"});
    let job =
        json!({"name": "env", "cmd": "a --token=$API_TOKEN:$TOKEN2 $MODE $KEY_NO", "env": env});
    admin(&mut node, "POST", "/jobs/app", &job);
    let masked = json!(["--token=********:********", "fast", "1"]);
    let whole = json!(["--token=hush-hush:hush", "fast", "1"]);
    for (secret, target, args) in [
        ("read session", "/2", &masked),
        ("manage session", "/2", &masked),
        ("admin", "/2", &masked),
        ("admin", "/2?secrets=1", &whole),
    ] {
        let conn = send(&mut node, &format!("GET {target}"), &with_key(secret), "");
        let (status, text) = take(&mut node, conn);
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let told: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((status, &told["args"]), (200, args), "{secret} {target}");
        // And what nobody else may see nobody keeps.
        assert_eq!(head.contains("Cache-Control: no-store"), *args == whole, "{head}");
    }
    let (conn, _) = opened(&mut node, "/channel/websocket", Some("read session"));
    let command = json!({"event": "CMD",
        "data": {"identity": "i", "name": "process_info", "args": [2]}});
    let told = format!("{:?}", crate::permissions::said(&mut node, conn, &command.to_string()));
    assert!(told.contains("********") && !told.contains("hush"), "{told}");
}

/// What a command of a session gives.
fn command(node: &mut FakeNode, conn: ConnId, name: &str, (args, kwargs): (Value, Value)) -> Value {
    let data = json!({"identity": "o", "name": name, "args": args, "kwargs": kwargs});
    let command = json!({"event": "CMD", "data": data});
    let told = crate::permissions::said(node, conn, &command.to_string());
    let texts = told.iter().filter_map(|said| match said {
        Said::Text(text) => serde_json::from_str::<Value>(text).ok(),
        Said::Binary(_) | Said::Ping(_) | Said::Pong(_) | Said::Close(..) => None,
    });
    texts.map(|text| text["data"]["result"].clone()).next_back().expect("an answer")
}

#[test]
fn an_overview_of_many_jobs_comes_in_pages() {
    let mut node = node();
    let (conn, _) = opened(&mut node, "/channel/websocket", Some("admin"));
    let mut command = |name: &str, args, kwargs| command(&mut node, conn, name, (args, kwargs));
    for n in 0..limits::OVERVIEW {
        let config = json!({"name": format!("j{n}"), "cmd": "a", "start": false});
        command("load", json!([config]), json!({"sessionid": "many"}));
    }
    let (mut names, mut pages, mut after) = (Vec::new(), 0, Value::Null);
    loop {
        let kwargs = if after.is_null() { json!({}) } else { json!({"after": after}) };
        let told = command("overview", json!([]), kwargs);
        let jobs = told["jobs"].as_array().expect("jobs");
        names.extend(jobs.iter().map(|job| job["name"].as_str().expect("a name").to_owned()));
        pages += 1;
        match told.get("next") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    assert!(pages > 1 && names.len() > limits::OVERVIEW, "{} jobs in {pages} pages", names.len());
    assert!(names.is_sorted() && names.windows(2).all(|two| two[0] != two[1]));
    // Who is gone meanwhile ends nothing.
    let behind = command("overview", json!([]), json!({"after": "many.j1x"}));
    assert_eq!(behind["jobs"][0]["name"], "many.j2");
}

#[test]
fn an_overview_has_the_jobs_that_one_may_read_and_what_one_may_do_with_them() {
    let mut node = node();
    let (conn, _) = opened(&mut node, "/channel/websocket", Some("admin"));
    let data = json!({"identity": "l", "name": "load", "args": [{"name": "x", "cmd": "serve"}],
        "kwargs": {"sessionid": "elsewhere"}});
    crate::permissions::said(&mut node, conn, &json!({"event": "CMD", "data": data}).to_string());
    let mut overview = |kind: &str, args: Value| {
        let (conn, _) = opened(&mut node, "/channel/websocket", Some(kind));
        command(&mut node, conn, "overview", (args, json!({})))
    };
    let all = overview("admin", json!([]));
    let count = all["jobs"].as_array().expect("jobs").len();
    assert_eq!(count, 2, "{all}");
    for (kind, jobs, write, manage) in [
        ("nothing", 0, false, false),
        ("create_key", 0, false, false),
        ("read job", 1, false, false),
        ("write job", 1, true, false),
        ("manage job", 1, true, true),
        ("read all", count, false, false),
        ("manage all", count, true, true),
        ("admin", count, true, true),
    ] {
        let told = overview(kind, json!([]));
        let shown = told["jobs"].as_array().expect("jobs");
        assert_eq!(shown.len(), jobs, "{kind}: {told}");
        for job in shown {
            assert_eq!(job["may"], json!({"write": write, "manage": manage}), "{kind}: {told}");
            assert_eq!(job.get("config"), None, "{kind}: what is in it is for who asks for it");
        }
        let one = overview(kind, json!(["app.web"]));
        assert_eq!(one["jobs"].as_array().expect("jobs").len(), jobs.min(1), "{kind}: {one}");
        assert_eq!(told["may"]["admin"], json!(kind == "admin"), "{kind}: {told}");
    }
    assert_eq!(overview("admin", json!(["app.nothing"]))["jobs"], json!([]));
}

#[test]
fn sessions_without_a_key_leave_places_to_those_who_have_one() {
    let mut node = node();
    let begin = |node: &mut FakeNode, secret: Option<&str>| {
        let fields = secret.map(with_key).unwrap_or_default();
        let conn = node.connect_tcp();
        let bytes =
            crate::ws_client::handshake("/channel/websocket", "Host: localhost\r\n", &fields);
        node.send(conn, &bytes, &mut || usize::MAX);
        (conn, take(node, conn).0)
    };
    let mut last = None;
    for n in 0..limits::SOCKJS_STRANGERS {
        let (conn, status) = begin(&mut node, None);
        assert_eq!(status, 101, "{n}");
        last = Some(conn);
    }
    for secret in [None, Some("wrong")] {
        assert_eq!(begin(&mut node, secret).1, 503, "{secret:?}");
    }
    for (line, status) in [
        ("POST /channel/0/a/xhr", 503),
        ("GET /channel/0/a/eventsource", 503),
        ("POST /channel/0/a/xhr_send", 404),
        ("OPTIONS /channel/0/a/xhr", 204),
        ("GET /channel/info", 200),
    ] {
        let conn = send(&mut node, line, "", "");
        assert_eq!(take(&mut node, conn).0, status, "{line}");
    }
    assert_eq!(begin(&mut node, Some("nothing")).1, 101);
    // Who says his key later is known from then on.
    let last = last.expect("there is one");
    crate::permissions::said(&mut node, last, "AUTH:nothing");
    assert_eq!(begin(&mut node, None).1, 101);
    assert_eq!(begin(&mut node, None).1, 503);
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_stay_for_ever() {
    let mut node = node();
    let body = json!({"permissions": {"admin": true}, "expires_in": 60});
    let made = admin(&mut node, "POST", "/keys", &body);
    let secret = made["api_key"].as_str().expect("a key").to_owned();
    let (session, _) = opened(&mut node, "/channel/websocket", Some(&secret));
    let is_closed = |node: &mut FakeNode| {
        let said = crate::permissions::frames(node.take_answer(session));
        said.iter().any(|said| matches!(said, Said::Close(1008, _)))
    };
    node.now.wall -= Duration::from_secs(30);
    node.advance(Duration::from_secs(89));
    assert!(!is_closed(&mut node), "by the clock its time is not over");
    node.advance(Duration::from_secs(2));
    assert!(is_closed(&mut node));
    assert_eq!(ask(&mut node, "GET", "/jobs", Some(&secret), "").0, 403);
}

/// What no endpoint means.
const BODIES: [&str; 50] = [
    "null",
    "\"x\"",
    "[]",
    "[null]",
    "0",
    "-1",
    "1e999",
    "1e308",
    "true",
    "{",
    "}",
    "",
    " ",
    "\0",
    "{\"a\": 1, \"a\": 2}",
    "{\"name\": null, \"cmd\": null}",
    "{\"cmd\": \"a\\u0000b\", \"name\": \"n\"}",
    "{\"name\": \"n\", \"cmd\": [\"a\"]}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"env\": {\"A\": \"\\u0000\"}}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"uid\": 4294967295}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"uid\": \"\"}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"uid\": -1}",
    "{\"name\": \"n\", \"cmd\": \"\\\"\"}",
    "{\"name\": \"../n\", \"cmd\": \"a\"}",
    "{\"name\": \"a/b\", \"cmd\": \"a\"}",
    "{\"name\": \"\", \"cmd\": \"a\"}",
    "{\"name\": \"n\\u0000\", \"cmd\": \"a\"}",
    "{\"name\": \"\\ud800\", \"cmd\": \"a\"}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"numprocesses\": 1e300}",
    "{\"name\": \"n\", \"cmd\": \"a\", \"numprocesses\": 99999999999999999999999}",
    "{\"scale\": null}",
    "{\"scale\": {}}",
    "{\"scale\": \"\"}",
    "{\"scale\": \"=\"}",
    "{\"scale\": 1.5}",
    "{\"signal\": null}",
    "{\"signal\": []}",
    "{\"signal\": 99999}",
    "{\"signal\": \"SIGNOPE\"}",
    "{\"signal\": -9}",
    "{\"graceful_timeout\": -1}",
    "{\"graceful_timeout\": 1e300}",
    "{\"graceful_timeout\": \"x\"}",
    "{\"permissions\": 1}",
    "{\"permissions\": {\"manage\": [[]]}}",
    "{\"expires\": 1e300}",
    "{\"expires_in\": -1}",
    "{\"username\": {}, \"password\": []}",
    "{\"key\": 1}",
    "{\"password\": \"\"}",
];

#[test]
fn bodies_that_are_meant_to_hurt_are_refused_in_words() {
    let deep = |open: &str, close: &str| [open, close].map(|part| part.repeat(100_000)).concat();
    let words = BODIES.iter().map(|text| text.as_bytes().to_vec());
    let deep = [deep("[", "]"), deep("{\"a\":", "}")].map(String::into_bytes);
    let bytes = [b"\xff\xfe".to_vec(), vec![b'9'; 100_000]];
    let bodies: Vec<Vec<u8>> = words.chain(deep).chain(bytes).collect();
    let mut node = node_of(Access::default(), open());
    node.asked.clear();
    // What a process is sent may be anything.
    let routes = ROUTES.iter().filter(|route| !route.pattern.starts_with("/streams"));
    for route in routes.filter(|route| matches!(route.method, Method::Post | Method::Put)) {
        for said in &bodies {
            let conn = node.connect_tcp();
            let head = request(route.method.name(), &path(route.pattern), Some("admin"), "");
            let head = String::from_utf8(head).expect("text");
            let head =
                head.replace("Content-Length: 0", &format!("Content-Length: {}", said.len()));
            let shown: String = String::from_utf8_lossy(said).chars().take(60).collect();
            node.send(conn, &[head.as_bytes(), said].concat(), &mut || usize::MAX);
            let (status, told) = take(&mut node, conn);
            let what = format!("{} {}: {shown}: {told}", route.method.name(), route.pattern);
            // Some need to be told nothing, and a key may be described in any words.
            let tame = ["restart", "state", "keys", "reopen", "rotate"]
                .iter()
                .any(|word| route.pattern.ends_with(word));
            let refused = (400..500).contains(&status);
            assert!(refused || tame && status < 300, "{what}");
            node.vanish(conn);
        }
    }
    assert_eq!(ask(&mut node, "GET", "/jobs", Some("admin"), "").1, r#"{"jobs": ["app.web"]}"#);
}

#[test]
fn names_are_names_and_lead_nowhere_else() {
    let mut node = node();
    let long = "x".repeat(limits::JOB_LABEL + 1);
    for name in [
        "..",
        "../x",
        "%2e%2e",
        "..%2f..%2fetc",
        "a%2fb",
        "a%5cb",
        "a%00b",
        "a%0ab",
        "%c3%a9",
        "*",
        "%ff",
        &long,
    ] {
        for (method, path, body) in [
            ("GET", format!("/jobs/app/{name}"), ""),
            ("PUT", format!("/jobs/app/{name}"), r#"{"cmd": "a"}"#),
            ("DELETE", format!("/jobs/app/{name}"), ""),
            ("GET", format!("/logs/app/{name}"), ""),
            ("POST", format!("/jobs/{name}"), r#"{"name": "n", "cmd": "a"}"#),
        ] {
            let (status, told) = ask(&mut node, method, &path, Some("admin"), body);
            assert!((400..500).contains(&status), "{method} {path}: {status} {told}");
        }
    }
    assert_eq!(ask(&mut node, "GET", "/jobs", Some("admin"), "").1, r#"{"jobs": ["app.web"]}"#);
}
