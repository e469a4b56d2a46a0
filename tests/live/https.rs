//! The daemons speak TLS themselves: with clients of several makes, and with each other. The certificates
//! are those of `tests/tls`.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gaffer::base::limits;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::clients::{limited, scripts, tool, SCRIPT_TIME};
use super::http::{self, Client};
use super::node::{Folder, Node, HUP, KILL};
use super::procs;
use super::until::{all_along, until, until_some, Since};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Puts files of `tests/tls` into a folder under other names, as their owner keeps them.
fn put(folder: &Folder, files: &[(&str, &str)]) {
    for (from, to) in files {
        folder.write(to, &fs::read_to_string(fixture(from)).expect("it is there"));
        let mine = Permissions::from_mode(0o600);
        fs::set_permissions(folder.path(to), mine).expect("ours");
    }
}

/// Has a daemon speak TLS.
fn secured(folder: Folder) -> Folder {
    put(&folder, &[("node.pem", "c.pem"), ("node.key", "c.key"), ("authority.pem", "a.pem")]);
    folder.args(&["--certfile", "@c.pem", "--keyfile", "@c.key"])
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a certificate")
}

/// What a client has who trusts the authority of the tests.
fn config(own: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("authority.pem")).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(fixture(&format!("{name}.key"))).expect("a key");
            let chain = vec![certificate(&format!("{name}.pem"))];
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    Arc::new(config)
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS, with its handshake to come.
fn tls(port: u16, own: Option<&str>) -> Tls {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(config(own), name).expect("a client");
    StreamOwned::new(client, socket)
}

/// The certificate that is shown there, to somebody with a certificate of his own, maybe.
fn shown(port: u16, own: Option<&str>) -> io::Result<CertificateDer<'static>> {
    let mut stream = tls(port, own);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let first = stream.conn.peer_certificates().and_then(|all| all.first().cloned());
    // With TLS 1.3 a client knows only by an answer that its certificate was taken.
    Client::over(stream).request("GET", "/ping", "")?;
    Ok(first.expect("it has shown one"))
}

fn curl(port: u16, args: &[&str]) -> (Option<i32>, String) {
    let mut command = limited("60", "curl".as_ref());
    let authority = fixture("authority.pem");
    let done = command.args(["-sS", "--cacert"]).arg(authority).args(args);
    let done = done.arg(format!("https://localhost:{port}/ping")).output().expect("it runs");
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn gaffer(node: &Node, line: &[&str]) -> (Option<i32>, String) {
    let address = format!("https://127.0.0.1:{}", node.port);
    let says = format!("[node \"{address}\"]\ncacert = {}\n", fixture("authority.pem").display());
    node.folder().write("gaffer.ini", &says);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    command.args(["-g", &address]).args(line).stdin(Stdio::null());
    let done = command.env("GAFFER_CONFIG", node.path("gaffer.ini")).output().expect("it runs");
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn counter(node: &Node, name: &str) -> u64 {
    node.get("/debug/counters")[name].as_u64().expect("a number")
}

#[test]
fn clients_of_several_makes_talk_over_tls_as_without() {
    let node = secured(Folder::new()).start();
    assert!(node.log().contains("listening on https://127.0.0.1:"), "{}", node.log());
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let version: Vec<&str> = version.split('=').collect();
        assert_eq!(curl(node.port, &version), (Some(0), "OK".into()), "{version:?}");
    }
    // None but its authority vouches for it.
    let (code, said) =
        curl(node.port, &["--cacert", &fixture("stranger.pem").display().to_string()]);
    assert_eq!(code, Some(60), "{said}");
    assert_eq!(gaffer(&node, &["ping"]), (Some(0), "OK\n".into()));
    node.run_job(&json!({"name": "a", "cmd": "echo hello; exec sleep 1000", "shell": true}));
    until("it has spoken", || gaffer(&node, &["logs", "t/a"]).1 == "a.1 | hello\n");
    // Names and pages are looked at as without.
    let mut client = Client::over(tls(node.port, None));
    let mut asks =
        |lines: &str| client.request_with("GET", "/ping", lines, "").expect("an answer").status;
    let host = format!("localhost:{}", node.port);
    assert_eq!(asks("Host: evil.example\r\n"), 421);
    assert_eq!(asks(&format!("Host: {host}\r\nOrigin: https://{host}\r\n")), 200);
    assert_eq!(asks(&format!("Host: {host}\r\nOrigin: http://{host}\r\n")), 403);
    if let Some(python) = tool("python") {
        let mut command = limited(SCRIPT_TIME, python.as_os_str());
        let url = format!("https://localhost:{}", node.port);
        let done = command.arg(scripts().join("tls.py")).args([&url, "t/a"]);
        let done = done.env("SSL_CERT_FILE", fixture("authority.pem")).output().expect("it runs");
        let said = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn who_has_no_certificate_is_let_in_only_where_none_is_demanded() {
    let asking = |folder: Folder| secured(folder).args(&["--clients-cacert", "@a.pem"]);
    let node = asking(Folder::new()).args(&["--log-level", "debug"]).start();
    assert!(shown(node.port, None).is_err());
    assert_eq!(shown(node.port, Some("client")).expect("let in"), certificate("node.pem"));
    // It is known by its digest.
    let digest = fs::read_to_string(fixture("client.sha256")).expect("it is there");
    let logged = format!("/tls={} GET /ping", digest.trim());
    until("it is told with its requests", || node.log().contains(&logged));
    // One that is for servers, of the same authority.
    assert!(shown(node.port, Some("node")).is_err());
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK", "nobody is asked on the unix socket");

    let folder = Folder::new().args(&["-c", "@g.ini"]);
    let ini = "[ssl]\ncertfile = c.pem\nkeyfile = c.key\nca_certs = a.pem\ncert_reqs = optional\n";
    folder.write("g.ini", ini);
    put(&folder, &[("node.pem", "c.pem"), ("node.key", "c.key"), ("authority.pem", "a.pem")]);
    let node = folder.start();
    assert!(shown(node.port, None).is_ok());
    assert!(shown(node.port, Some("client")).is_ok());
    assert!(shown(node.port, Some("node")).is_err());
}

#[test]
fn a_certificate_of_a_client_stands_for_a_key() {
    let folder = secured(Folder::new());
    let node = folder.args(&["--clients-cacert", "@a.pem", "--require-key"]).start();
    let pem = fixture("client.pem").display().to_string();
    let socket = format!("unix:{}", node.path("s").display());
    let key = ["-g", &socket, "key:create", "--json", "--certificate", &pem, "+m"];
    let jobs = format!("https://localhost:{}/jobs", node.port);
    let own = ["pem", "key"].map(|kind| fixture(&format!("client.{kind}")).display().to_string());
    let ask = || curl(node.port, &["--cert", &own[0], "--key", &own[1], &jobs]).1;
    // By itself it only lets its owner in to say a key.
    assert!(ask().contains("a key is asked for"), "{}", ask());
    let (code, made) = gaffer(&node, &key);
    assert_eq!(code, Some(0), "{made}");
    assert!(ask().contains("{\"jobs\": []}"), "{}", ask());
}

#[test]
fn stalled_handshakes_hold_nobody_up_and_are_cut_off() {
    let node = secured(Folder::new()).start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    let mut hello = Vec::new();
    tls(node.port, None).conn.write_tls(&mut hello).expect("into memory");
    let begun = Since::now();
    // Nothing, the half of a greeting, and a whole one without an answer to the answer.
    let stalled = |n: usize| {
        let mut socket = TcpStream::connect(("127.0.0.1", node.port)).expect("it accepts");
        socket.write_all(&hello[..[0, hello.len() / 2, hello.len()][n % 3]]).expect("sent");
        socket
    };
    let sockets: Vec<TcpStream> = (0..200).map(stalled).collect();
    until("all are there", || counter(&node, "connections") > 200);
    let before = node.os_pids("/jobs/t/a");
    procs::kill(before[0], KILL);
    until("it runs again", || {
        let now = node.os_pids("/jobs/t/a");
        now.len() == 1 && now != before
    });
    assert!(shown(node.port, None).is_ok());
    assert!(begun.elapsed() < limits::HTTP_FIRST_BYTE, "that was no proof");
    until("all are gone", || counter(&node, "connections") < 200);
    assert!(begun.elapsed() >= limits::HTTP_FIRST_BYTE - Duration::from_secs(1));
    until("none of them is left", || counter(&node, "connections") == 1);
    for mut socket in sockets {
        // It says why, or nothing.
        drop(socket.read_to_end(&mut Vec::new()));
    }
}

#[test]
fn junk_is_turned_away_and_clear_text_is_told_so() {
    let node = secured(Folder::new()).start();
    let says = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(("127.0.0.1", node.port)).expect("it accepts");
        socket.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        // A reset is an answer, too.
        drop(socket.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = says(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    assert!(body.contains("https://"), "{answer}");
    for junk in [&[0xff; 5_000][..], b"\x16\x03\x01\x40\x00", &[0; 70_000], b"hello there"] {
        assert!(!says(junk).contains("HTTP"));
    }
    until("none of them is left", || counter(&node, "connections") == 1);
    assert!(shown(node.port, None).is_ok());
}

#[test]
fn certificates_change_under_way_and_a_wrong_one_changes_nothing() {
    let node = secured(Folder::new()).start();
    let text = "while read line; do echo $line; done";
    node.run_job(&json!({"name": "a", "cmd": text, "shell": true,
        "redirect_input": true, "redirect_output": ["out"]}));
    let pid = node.get("/jobs/t/a")["processes"][0].as_u64().expect("a pid");
    let mut stream = tls(node.port, None);
    let ask = format!("GET /streams/{pid}/out?feed=continuous HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("sent");
    let mut heard = String::new();
    let mut hears = |what: &str| {
        node.does("POST", &format!("/streams/{pid}/stdin"), &format!("{what}\n"));
        while !heard.contains(what) {
            let mut buffer = [0; 1000];
            let count = http::read(&mut stream, &mut buffer).expect("it goes on");
            assert!(count > 0, "it has ended: {heard}");
            heard += &String::from_utf8_lossy(&buffer[..count]);
        }
    };
    hears("first");
    let reload = |said: &str| {
        let before = node.log().len();
        node.signal(HUP);
        until(said, || node.log().get(before..).unwrap_or_default().contains(said));
    };
    assert_eq!(shown(node.port, None).expect("let in"), certificate("node.pem"));
    put(node.folder(), &[("next.pem", "c.pem")]);
    reload("the configuration stays as it was: --certfile: ");
    assert!(node.log().contains("this is not the private key of the certificate in "));
    assert_eq!(shown(node.port, None).expect("let in"), certificate("node.pem"));
    hears("second");
    put(node.folder(), &[("next.key", "c.key")]);
    reload("configuration read again");
    assert_eq!(shown(node.port, None).expect("let in"), certificate("next.pem"));
    hears("third");
    fs::remove_file(node.path("c.key")).expect("it was there");
    reload("the configuration stays as it was: --keyfile: ");
    assert_eq!(shown(node.port, None).expect("let in"), certificate("next.pem"));
    hears("fourth");
}

#[test]
fn large_answers_come_whole_however_slowly_they_are_read() {
    let node = secured(Folder::new()).start();
    let args: Vec<String> = (0..8_000).map(|n| format!("{n:0>100}")).collect();
    node.does(
        "POST",
        "/jobs/t",
        &json!({"name": "a", "cmd": "true", "args": &args, "start": false}).to_string(),
    );
    const MANY: usize = 12;
    let ask = "GET /jobs/t/a HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(MANY);
    let mut stream = tls(node.port, None);
    stream.write_all(ask.as_bytes()).expect("sent");
    // It is not read for a while: the kernel is full, and the others go on.
    let mut others = Client::over(tls(node.port, None));
    all_along(Duration::from_millis(500), "others have answers", || {
        others.request("GET", "/ping", "").is_ok_and(|answer| answer.text() == "OK")
    });
    let mut client = Client::over(Slow(stream, 0));
    let expected = json!(args);
    for _ in 0..MANY {
        let answer = client.answer().expect("it comes");
        assert_eq!(answer.status, 200);
        assert!(answer.json()["config"]["args"] == expected, "it is whole");
    }
    // Many small ones at once.
    let ask = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3_000);
    let mut client = Client::over(tls(node.port, None));
    client.send(ask.as_bytes()).expect("sent");
    for _ in 0..3_000 {
        assert_eq!(client.answer().expect("it comes").text(), "OK");
    }
}

/// Reads little at a time, of sizes that fit nothing.
struct Slow(Tls, usize);

impl io::Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 7_919 + 977;
        let most = self.1.min(buffer.len());
        http::read(&mut self.0, &mut buffer[..most])
    }
}

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn each_end_is_told_whichever_way_it_comes() {
    let node = secured(Folder::new()).start();
    let begun = Since::now();
    // What was asked is answered, though nothing more will be asked.
    let mut stream = tls(node.port, None);
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    stream.conn.send_close_notify();
    stream.flush().expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it ends with a farewell");
    assert!(answer.ends_with("\r\n\r\nOK"), "{answer}");
    // A body that is cut off with the socket is nothing, and the connection is gone.
    let mut stream = tls(node.port, None);
    let head = "POST /jobs/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n";
    stream.write_all(format!("{head}{{\"name\": \"a\", ").as_bytes()).expect("sent");
    until("it is there", || counter(&node, "connections") == 2);
    drop(stream);
    until("it is gone", || counter(&node, "connections") == 1);
    assert_eq!(node.ask("GET", "/jobs/t/a", "").status, 404);
    // One that asks to be closed is closed with a farewell.
    let mut stream = tls(node.port, None);
    let ask = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).expect("sent");
    stream.read_to_string(&mut String::new()).expect("without it this is an error");
    assert!(begun.elapsed() < limits::HTTP_KEEP_ALIVE / 2, "none was ended by its patience");
}

#[test]
fn a_node_registers_over_tls_with_a_lookupd_that_asks_who_it_is() {
    let lookupd = secured(Folder::of_lookupd());
    let socket = format!("unix:{}", lookupd.text("s"));
    let lookupd = lookupd.args(&["--cacert", "@a.pem", "--bind", &socket]).start();
    let at = format!("https://localhost:{}", lookupd.port);
    let folder = secured(Folder::new());
    put(&folder, &[("client.pem", "me.pem"), ("client.key", "me.key")]);
    let own = ["--client-certfile", "@me.pem", "--client-keyfile", "@me.key", "--cacert", "@a.pem"];
    let node = folder.args(&["--lookupd-address", &at]).args(&own).start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    let source = || lookupd.get("/findJob?name=t.a")["sources"][0].clone();
    until("it is known", || source()["pids"] == json!([1]));
    let origin = source()["node_info"]["origin"].as_str().expect("one").to_owned();
    assert!(origin.starts_with("https://") && origin.ends_with(&node.port.to_string()), "{origin}");
    assert!(shown(lookupd.port, None).is_err(), "it asks everybody");
    // A new certificate there, and nothing is lost.
    put(lookupd.folder(), &[("next.pem", "c.pem"), ("next.key", "c.key")]);
    lookupd.signal(HUP);
    until("it shows the new one", || {
        shown(lookupd.port, Some("client")).is_ok_and(|found| found == certificate("next.pem"))
    });
    let state = || node.get("/lookupds")["lookupds"][0].clone();
    assert_eq!((&state()["state"], &state()["losses"]), (&json!("registered"), &json!(0)));
    // Who does not trust it says why it does not register, and so does who is not trusted.
    let why = |more: &[&str], expected: &str| {
        let folder = Folder::new();
        put(&folder, &[("stranger.pem", "b.pem"), ("authority.pem", "a.pem")]);
        let node = folder.args(&["--lookupd-address", &at]).args(more).start();
        until_some(expected, || {
            let state = node.get("/lookupds")["lookupds"][0].clone();
            state["last_error"].as_str().is_some_and(|why| why.contains(expected)).then_some(())
        });
    };
    why(&["--cacert", "@b.pem"], "nobody who is trusted vouches for its certificate");
    why(&["--cacert", "@a.pem"], "it lets in only who shows a certificate");
    // A lookupd in clear text.
    let plain = Folder::of_lookupd().start();
    let at = format!("https://localhost:{}", plain.port);
    let node = Folder::new().args(&["--lookupd-address", &at]).args(&["--cacert"]);
    put(&node, &[("authority.pem", "a.pem")]);
    let node = node.args(&["@a.pem"]).start();
    until("it is told", || {
        node.get("/lookupds").to_string().contains("it does not speak TLS; try http://")
    });
}

#[test]
fn what_cannot_be_used_is_told_before_anything_starts() {
    let folder = secured(Folder::new());
    fs::set_permissions(folder.path("c.key"), Permissions::from_mode(0o644)).expect("ours");
    let refused = folder.run();
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    assert!(
        refused.said.contains("/c.key: everybody on this machine may read"),
        "{}",
        refused.said
    );
    for (args, code, said) in [
        (&["--keyfile", "x"][..], 1, "--keyfile: there is no certificate for this key"),
        (&["--certfile", "/no/such"], 1, "--certfile: /no/such: No such file or directory"),
        (&["--client-keyfile=x"], 1, "--client-keyfile: there is no certificate for this key"),
    ] {
        let refused = Folder::new().args(args).run();
        assert_eq!(refused.code, Some(code), "{}", refused.said);
        assert!(refused.said.contains(said), "{}", refused.said);
    }
}
