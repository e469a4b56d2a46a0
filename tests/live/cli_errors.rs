//! The command line where something is not as it should be: what it says then, and how it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use super::cli::{does, gaffer, json_of, site};
use super::node::{Folder, Node};
use super::until::{until, Since};

/// A server of something else, which answers each request with this, and its address.
#[expect(clippy::disallowed_methods, reason = "a server beside the test")]
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let lines = BufReader::new(client.try_clone().expect("a descriptor")).lines();
            let asked = lines.map_while(Result::ok).any(|line| line.is_empty());
            let length = answer.len();
            let head = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length";
            if asked {
                let _ = write!(client, "{head}: {length}\r\n\r\n{answer}");
            }
        }
    });
    address
}

/// A folder of this name with a Procfile.
fn folder(node: &Node, name: &str, procfile: &str) -> String {
    let path = node.path(name);
    fs::create_dir_all(&path).expect("a folder");
    fs::write(path.join("Procfile"), procfile).expect("written");
    path.display().to_string()
}

#[test]
fn a_load_tries_all_and_tells_what_is_refused() {
    let node = Folder::new().start();
    let site = site(&node);
    let write = |name: &str, text: &str| {
        fs::write(node.path("site").join(name), text).expect("written");
    };
    let job = |name: &str| json!({"name": name, "cmd": "sleep 1005"});
    let mut bad = job("shop.bad");
    bad["uid"] = json!("nobody-here");
    write("part.json", &json!({"jobs": [job("one"), bad, job("shop.two")]}).to_string());
    let said = gaffer(&node, &site, &["load", "part.json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let address = format!("http://127.0.0.1:{}", node.port);
    let loaded = format!("==> 'part.json' has been loaded in {address}\n");
    assert_eq!(said.out, format!("'site.one' loaded\n'shop.two' loaded\n{loaded}"));
    assert!(said.err.starts_with("gaffer: shop.bad: "), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1);
    write("one.json", &job("one").to_string());
    let other = does(&node, &site, &["load", "-a", "other", "one.json"]);
    assert!(other.starts_with("'other.one' loaded\n"), "{other}");
    // What is there already is as it was wished.
    assert_eq!(does(&node, &site, &["load", "one.json"]), "'site.one' already loaded\n");
    write("none.json", "{\"jobs\": []}");
    write("bad.json", "{\n{");
    let long = "n".repeat(300);
    write("long.json", &job(&long).to_string());
    for (file, expected) in [
        ("none.json", "gaffer: none.json: no jobs in it\n".to_owned()),
        ("bad.json", "gaffer: bad.json:2: key must be a string at column 1\n".to_owned()),
        (
            "long.json",
            format!("gaffer: long.json: job 1: \"{}…\" is not a job name: 1 to 128 of A-Z a-z 0-9 _ . + @ - and blank\n", "n".repeat(39)),
        ),
    ] {
        let said = gaffer(&node, &site, &["load", file]);
        assert_eq!((said.code, said.out.as_str(), said.err), (1, "", expected), "{file}");
    }
}

#[test]
fn a_load_of_a_procfile_tells_its_faults_and_what_a_folder_cannot_be_called() {
    let node = Folder::new().start();
    let app = folder(&node, "app", "web: sleep 1006\nbad line\nx y: z\n");
    let said = gaffer(&node, &app, &["load"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told: Vec<&str> = said.err.lines().collect();
    assert_eq!(told.len(), 2, "{}", said.err);
    assert!(
        told[0].starts_with("gaffer: Procfile:2: ignored, not \"name: command\""),
        "{}",
        told[0]
    );
    for name in ["My App", "dot.app", "ünï"] {
        let folder = folder(&node, name, "web: sleep 1007\n");
        let said = gaffer(&node, &folder, &["load"]);
        let begin = format!("gaffer: {name:?} is not a session name: ");
        assert!(said.code == 1 && said.err.starts_with(&begin), "{said:?}");
        assert!(
            said.err.ends_with("; say the application's name with --app NAME\n"),
            "{}",
            said.err
        );
        let checked = gaffer(&node, &folder, &["check"]);
        assert_eq!((checked.code, checked.out.as_str()), (0, "Procfile: no faults\n"));
        assert!(checked.err.contains("for gaffer load, say the application's name"), "{checked:?}");
        assert_eq!(gaffer(&node, &folder, &["check", "-a", "mine"]).err, "");
    }
    let folder = folder(&node, "My App", "web: sleep 1007\n");
    let said = gaffer(&node, &folder, &["load", "-a", "my app"]);
    assert!(said.code == 2 && said.err.starts_with("gaffer: --app: \"my app\" is not"), "{said:?}");
    assert!(does(&node, &folder, &["load", "-a", "mine"]).starts_with("'mine.web' loaded\n"));
}

#[test]
fn who_is_no_gafferd_is_told_as_that() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    for answer in ["", "<html>Not here</html>"] {
        let address = stranger(answer);
        for command in ["ping", "apps", "events", "version", "ps"] {
            let said = gaffer(&node, &here, &["-g", &address, command]);
            assert_eq!(said.code, 4, "{command}: {said:?}");
            let begin = "gaffer: what answers is no gafferd (";
            assert!(said.err.starts_with(begin), "{command}: {}", said.err);
        }
    }
    let secret = gaffer(&node, &here, &["-g", "http://user:secret@localhost:1", "ping"]);
    assert_eq!(secret.code, 2, "{secret:?}");
    assert!(secret.err.contains("a node knows no users") && !secret.err.contains("secret"));
    let none = gaffer(&node, &here, &["-g", "http://127.0.0.1:1", "version"]);
    assert_eq!((none.code, none.out), (4, format!("gaffer {}\n", gaffer::VERSION)));
}

#[test]
fn who_takes_a_request_and_says_nothing_is_not_waited_for_long() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    // The kernel takes connections for it, and nobody else does.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let begun = Since::now();
    let said = gaffer(&node, &here, &["-g", &address, "ping"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let expected = format!("gaffer: no gafferd answers at {address} (nothing came for 10 s): start one with `gafferd`\n");
    assert_eq!((said.code, said.err), (4, expected));
}

#[test]
fn words_too_many_are_refused_by_every_command() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    for line in [
        &["apps", "extra"][..],
        &["ping", "extra"],
        &["version", "extra"],
        &["events", "start", "extra"],
        &["load", "a", "extra"],
        &["why", "a", "extra"],
        &["kill", "1", "TERM", "extra"],
        &["help", "ps", "extra"],
    ] {
        let said = gaffer(&node, &here, line);
        let expected = "gaffer: \"extra\" is one argument too many\n";
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (2, "", expected),
            "{line:?}"
        );
    }
}

#[test]
fn events_under_a_name_that_none_has_are_refused() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    let said = gaffer(&node, &here, &["events", "strat"]);
    assert_eq!(said.code, 2);
    let begin =
        "gaffer: no event's name begins with \"strat\"; did you mean start? (they begin with ";
    assert!(said.err.starts_with(begin), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1);
}

#[test]
fn an_overview_is_of_the_node_unless_an_application_is_named() {
    let node = Folder::new().start();
    let site = site(&node);
    node.run_job(&json!({"name": "other", "cmd": "sleep 1003"}));
    does(&node, &site, &["load", "--nostart"]);
    let here = node.path("").display().to_string();
    let names =
        |folder: &str, line: &[&str]| does(&node, folder, &[line, &["-o", "name"]].concat());
    assert_eq!(names(&here, &["ps"]), "t.other.1\nsite.web\nsite.cat\n");
    assert_eq!(names(&here, &["ps", "*"]), "t.other.1\nsite.web\nsite.cat\n");
    assert_eq!(names(&here, &["ps", "?at", "oth*"]), "site.cat\nt.other.1\n");
    assert_eq!(names(&site, &["ps", "*"]), "site.web\nsite.cat\n");
    for (line, missing) in [(["ps", "-d", "nodir"], "nodir/Procfile"), (["ps", "-f", "no"], "no")] {
        let said = gaffer(&node, &here, &line);
        let expected = format!("gaffer: procfile not found: {missing}\n");
        assert_eq!((said.code, said.err), (1, expected));
    }
}

#[test]
fn a_one_off_is_shown_beside_its_job_and_takes_nobodys_number() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load", "--nostart"]);
    does(&node, &site, &["run", "web"]);
    until("it runs", || {
        let rows = &json_of(&node, &site, &["ps", "web"])[0];
        rows[1]["state"] == "running"
    });
    let rows = &json_of(&node, &site, &["ps", "web"])[0];
    assert_eq!((&rows[0]["instance"], &rows[0]["once"]), (&json!(null), &json!(false)), "{rows}");
    assert_eq!((&rows[1]["state"], &rows[1]["once"]), (&json!("running"), &json!(true)), "{rows}");
    let shown = does(&node, &site, &["ps", "web"]);
    let numbers: Vec<&str> =
        shown.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(numbers, ["#", "-", "1*"], "{shown}");
    let pid = rows[1]["pid"].to_string();
    assert_eq!(does(&node, &site, &["ps", "web", "-o", "name"]), format!("site.web\n{pid}\n"));
}
