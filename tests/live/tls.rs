//! The command line and the client library over TLS, through something in front of a real node that ends
//! TLS, as a proxy does. The certificates are those of `tests/tls`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use gaffer::client::{Address, Change, Endpoint, Hearing, Live, Lookup, Said, Server, Trust};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::retry_on_intr;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use serde_json::{json, Map};

use super::http;
use super::node::{Folder, Node};
use super::until::until_some;

pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_file_iter(file(name)).expect("it is there");
    found.map(|certificate| certificate.expect("a certificate")).collect()
}

/// Listens with TLS in front of somebody; for clients with a certificate only, if `asks` says so.
pub(crate) fn front(port: u16, asks: bool) -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("authority.pem"));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().expect("an authority"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(file("node.key")).expect("a key");
    let config = Arc::new(builder.with_single_cert(certificates("node.pem"), key).expect("a pair"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    beside(move || {
        while let Ok((client, _)) = listener.accept() {
            let tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            // However it ends, the client sees that.
            beside(move || drop(pass_on(client, tls, port)));
        }
    });
    address
}

pub(crate) fn beside(work: impl FnOnce() + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is in front of the node goes on beside the test"
    )]
    std::thread::spawn(work);
}

/// Passes on what comes, both ways, until one of them ends.
fn pass_on(mut client: TcpStream, mut tls: ServerConnection, port: u16) -> std::io::Result<()> {
    while tls.is_handshaking() {
        tls.complete_io(&mut client)?;
    }
    let mut node = TcpStream::connect(("127.0.0.1", port))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // What came with the end of the handshake is said, too.
        let state = tls.process_new_packets().map_err(std::io::Error::other)?;
        let mut said = vec![0; state.plaintext_bytes_to_read()];
        if !said.is_empty() {
            tls.reader().read_exact(&mut said)?;
            node.write_all(&said)?;
        }
        let mut fds = [PollFd::new(&client, PollFlags::IN), PollFd::new(&node, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, None))?;
        let [from_client, from_node] = fds.map(|fd| !fd.revents().is_empty());
        if from_client && tls.read_tls(&mut client)? == 0 {
            return Ok(());
        }
        if from_node {
            let count = http::read(&mut node, &mut buffer)?;
            if count == 0 {
                tls.send_close_notify();
                tls.complete_io(&mut client)?;
                return Ok(());
            }
            tls.writer().write_all(&buffer[..count])?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
    }
}

/// Runs a command with a user configuration that says this of the node there.
fn gaffer(node: &Node, address: SocketAddr, says: &str, line: &[&str]) -> Output {
    let config = node.path("gaffer.ini");
    let text = format!("[node \"https://{address}\"]\n{says}");
    fs::write(&config, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    command.args(["-g", &format!("https://{address}")]).args(line);
    command.env("GAFFER_CONFIG", config).env_remove("SSL_CERT_FILE").stdin(Stdio::null());
    command.output().expect("it runs")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn trusted() -> String {
    format!("cacert = {}\n", file("authority.pem").display())
}

#[test]
fn a_node_behind_tls_is_talked_to_as_any() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "echo hello; exec sleep 1000", "shell": true}));
    let address = front(node.port, false);
    let does = |line: &[&str]| said(&gaffer(&node, address, &trusted(), line));
    assert_eq!(does(&["ping"]), (Some(0), "OK\n".into(), String::new()));
    assert_eq!(does(&["ps", "-o", "name", "t/a"]), (Some(0), "t.a.1\n".into(), String::new()));
    assert_eq!(does(&["logs", "t/a"]).1, "a.1 | hello\n");
    assert_eq!(does(&["restart", "t/a"]), (Some(0), "t.a: restarted\n".into(), String::new()));
    // The websocket goes the same way.
    let line =
        format!("{} -g https://{address} events --since 0 | head -1", env!("CARGO_BIN_EXE_gaffer"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("GAFFER_CONFIG", node.path("gaffer.ini"));
    let (code, out, err) = said(&shell.output().expect("it runs"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.ends_with(" t.a | load\n"), "{out}");
}

#[test]
fn who_cannot_be_trusted_is_told_as_that_with_the_cure() {
    let node = Folder::new().start();
    let address = front(node.port, false);
    let stranger = format!("cacert = {}\n", file("stranger.pem").display());
    let missing = "cacert = no-such-file.pem\n".to_owned();
    let key = format!("cacert = {}\n", file("node.key").display());
    for (says, why) in [
        (
            stranger.as_str(),
            "nobody who is trusted vouches for its certificate; name its authority with cacert",
        ),
        (&missing, "no-such-file.pem: "),
        (&key, "there is no certificate of an authority in it"),
    ] {
        let (code, out, err) = said(&gaffer(&node, address, says, &["ping"]));
        assert_eq!((code, out.as_str()), (Some(4), ""), "{err}");
        let start = format!("gaffer: no safe connection to https://{address}: ");
        assert!(err.starts_with(&start) && err.contains(why), "{err}");
    }
    // A node without TLS.
    let plain = SocketAddr::from(([127, 0, 0, 1], node.port));
    let (code, _, err) = said(&gaffer(&node, plain, &trusted(), &["ping"]));
    assert_eq!(code, Some(4));
    assert!(err.contains("it does not speak TLS; try http://"), "{err}");
}

#[test]
fn a_client_shows_its_certificate_where_it_is_asked_for_one() {
    let node = Folder::new().start();
    let address = front(node.port, true);
    let refused = said(&gaffer(&node, address, &trusted(), &["ping"]));
    assert_ne!(refused.0, Some(0), "{refused:?}");
    let pair = format!(
        "certfile = {}\nkeyfile = {}\n",
        file("client.pem").display(),
        file("client.key").display()
    );
    let known = said(&gaffer(&node, address, &(trusted() + &pair), &["ping"]));
    assert_eq!(known, (Some(0), "OK\n".into(), String::new()));
}

#[test]
fn the_library_follows_a_node_over_tls_without_waiting() {
    let node = Folder::new().start();
    let address = front(node.port, false);
    let mut endpoint =
        Endpoint::from(format!("https://{address}").parse::<Address>().expect("one"));
    endpoint.trust = Trust { authorities: Some(file("authority.pem")), identity: None };
    let mut live = Live::open(&endpoint).expect("it answers");
    live.subscribe("EVENTS", &Map::new()).expect("said");
    let mut server = Server::at(endpoint);
    let config = json!({"name": "a", "cmd": "sleep 1000"});
    let mut loaded = false;
    let event = until_some("the event comes", || loop {
        match live.hear().expect("it goes on") {
            Hearing::Said(Said::Followed { result, .. }) => {
                result.expect("followed");
                server.load("t", config.as_object().expect("an object")).expect("loaded");
                loaded = true;
            }
            Hearing::Said(said) => return Some(format!("{said:?}")),
            Hearing::Nothing => return None,
            Hearing::Over => panic!("it ended"),
        }
    });
    assert!(loaded && event.contains("\"load\""), "{event}");
}

#[test]
fn a_lookupd_behind_tls_is_asked_and_followed() {
    let lookupd = Folder::of_lookupd().start();
    let address = front(lookupd.port, true);
    let pair = format!(
        "certfile = {}\nkeyfile = {}\n",
        file("client.pem").display(),
        file("client.key").display()
    );
    let config = lookupd.path("gaffer.ini");
    let run = |says: &str| {
        let url = format!("https://{address}");
        let text = format!("[gaffer]\nlookupd_address = {url}\n[lookupd \"{url}\"]\n{says}");
        fs::write(&config, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command.arg("lookup:nodes").env("GAFFER_CONFIG", &config).env_remove("SSL_CERT_FILE");
        said(&command.output().expect("it runs"))
    };
    let (code, out, err) = run(&(trusted() + &pair));
    assert_eq!((code, out.as_str()), (Some(0), "0 node(s) found\n"), "{err}");
    let (code, _, err) = run(&pair);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains(&format!("no safe connection to https://{address}")), "{err}");
    let address = Lookup::address(&format!("https://{address}")).expect("an address");
    let mut endpoint = Endpoint::from(address.clone());
    let authorities = Some(file("authority.pem"));
    endpoint.trust =
        Trust { authorities, identity: Some((file("client.pem"), file("client.key"))) };
    let mut follow = Lookup::new([endpoint]).follow().expect("it can be followed");
    let first = follow.hear().expect("it goes on");
    assert!(matches!(&first, Change::Whole(whole) if *whole == address), "{first:?}");
}
