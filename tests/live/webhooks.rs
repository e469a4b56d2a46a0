//! Events of the real gafferd posted to a real HTTP server: signed, in their order, over one connection, and
//! kept while nobody takes them, whatever becomes of gafferd meanwhile.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{json, Value};
use sha2::Sha256;

use super::node::{Folder, Node, HUP};
use super::until::{until, until_some};

/// Somebody who is posted to.
struct Hook {
    port: u16,
    /// What he answers.
    status: Arc<AtomicU16>,
    connections: Arc<AtomicUsize>,
    seen: Receiver<Post>,
}

struct Post {
    head: String,
    body: String,
    /// What was answered.
    status: u16,
}

impl Hook {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (tell, seen) = channel();
        let status = Arc::new(AtomicU16::new(200));
        let connections = Arc::new(AtomicUsize::new(0));
        let (answers, count) = (Arc::clone(&status), Arc::clone(&connections));
        beside(move || {
            while let Ok((client, _)) = listener.accept() {
                count.fetch_add(1, Ordering::SeqCst);
                let (tell, answers) = (tell.clone(), Arc::clone(&answers));
                // However it ends, the node sees that.
                beside(move || drop(serve(client, &tell, &answers)));
            }
        });
        Self { port, status, connections, seen }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in?token=hush", self.port)
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The next post that was answered with 200.
    fn taken(&self) -> Post {
        until_some("it is posted", || self.seen.try_iter().find(|post| post.status == 200))
    }
}

fn beside(work: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "whoever is posted to goes on beside the test")]
    std::thread::spawn(work);
}

/// Answers requests, until the connection ends.
fn serve(client: TcpStream, tell: &Sender<Post>, answers: &AtomicU16) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or_default()];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).expect("text");
        let status = answers.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 6\r\n\r\nthanks");
        // Nobody may be there any more to hear it.
        let _ = tell.send(Post { head, body, status });
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}

impl Post {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn event(&self) -> String {
        self.json()["event"].as_str().expect("named").to_owned()
    }

    fn field(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let value = self.head.lines().find_map(|line| line.strip_prefix(start.as_str()));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    /// Whether this secret has signed it.
    fn is_signed(&self, secret: &str) -> bool {
        let key = match secret.strip_prefix("whsec_") {
            Some(coded) => BASE64.decode(coded.as_bytes()).expect("base64"),
            None => secret.as_bytes().to_vec(),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        let (id, time) = (self.field("Webhook-Id"), self.field("Webhook-Timestamp"));
        mac.update(format!("{id}.{time}.{}", self.body).as_bytes());
        let signed = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
        self.field("Webhook-Signature").split(' ').any(|one| one == signed)
    }
}

fn only(node: &Node) -> Value {
    let told = node.get("/webhooks");
    assert_eq!(told["webhooks"].as_array().map(Vec::len), Some(1), "{told}");
    told["webhooks"][0].clone()
}

fn gaffer(node: &Node, line: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    let url = format!("http://127.0.0.1:{}", node.port);
    command.args(["-g", &url]).args(line).stdin(Stdio::null()).env("GAFFER_CONFIG", "");
    let done = command.output().expect("it runs");
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn events_are_posted_signed_and_in_order_and_wait_over_the_lives_of_gafferd() {
    let hook = Hook::listen();
    let mut node = Folder::new().start();
    let wish = json!({"event": "job.t", "url": hook.url()}).to_string();
    let made = node.does("POST", "/webhooks", &wish);
    let secret = made["secret"].as_str().expect("it is made").to_owned();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    for event in ["job.t.a.start", "job.t.a.spawn"] {
        let post = hook.taken();
        assert_eq!(post.event(), event);
        assert!(post.head.starts_with("POST /in?token=hush HTTP/1.1\r\n"), "{}", post.head);
        assert!(post.is_signed(&secret) && !post.json()["node"].is_null(), "{}", post.body);
    }
    assert_eq!(hook.connections.load(Ordering::SeqCst), 1, "one connection for both");
    // While nobody takes them, they wait.
    hook.answer(503);
    node.does("POST", "/jobs/t/a/numprocesses", r#"{"scale": 1}"#);
    until("it is refused", || only(&node)["last_error"] == "it answers 503: thanks");
    for file in ["webhooks", "deliveries"] {
        let mode = fs::metadata(node.path("state").join(file)).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    node.kill();
    node.start_again();
    node.stop();
    node.start_again();
    hook.answer(200);
    until("both run again", || node.os_pids("/jobs/t/a").len() == 2);
    node.does("POST", "/jobs/t/a/state", "0");
    let mut last = 0;
    let mut events = Vec::new();
    while events.last().map(String::as_str) != Some("job.t.a.exit") {
        let post = hook.taken();
        assert!(post.is_signed(&secret), "{}", post.body);
        let seq = post.json()["seq"].as_u64().expect("a number");
        assert!(seq > last, "{seq} comes in its order");
        last = seq;
        events.push(post.event());
    }
    assert_eq!(events[0], "job.t.a.spawn", "{events:?}");
    assert_eq!(only(&node)["dropped"], 0);
    let log = node.log();
    assert!(!log.contains("hush") && !log.contains(&secret), "{log}");
    assert!(!node.get("/webhooks").to_string().contains("hush"), "it is told without");
}

#[test]
fn the_configuration_names_webhooks_and_the_command_line_tests_them() {
    let (one, two) = (Hook::listen(), Hook::listen());
    let folder = Folder::new();
    let ini = |lines: &str| format!("[gaffer]\n[webhooks]\n{lines}\n");
    folder.write("g.ini", &ini(&format!(". = {} {}", one.url(), two.url())));
    let node = folder.args(&["--config", "@g.ini"]).start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    for hook in [&one, &two] {
        assert_eq!(hook.taken().event(), "load");
        assert_eq!(hook.taken().event(), "start");
    }
    node.folder().write("g.ini", &ini(&format!("job.t = {}", one.url())));
    node.signal(HUP);
    until("the other one is gone", || {
        node.get("/webhooks")["webhooks"].as_array().map(Vec::len) == Some(1)
    });
    let place = format!("{}:3", node.path("g.ini").display());
    assert_eq!(only(&node)["events"], json!([{"event": "job.t", "from": place}]));
    let (code, said) = gaffer(&node, &["webhook", "test", &one.url()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("It answers 200 after ") && said.ends_with(": thanks\n"), "{said}");
    let post = until_some("the test", || one.seen.try_iter().find(|post| post.event() == "test"));
    assert!(post.field("Webhook-Id").contains("-test-"), "{}", post.head);
    one.answer(500);
    let id = only(&node)["id"].as_str().expect("an id").to_owned();
    let (code, said) = gaffer(&node, &["webhook", "test", &id]);
    assert_eq!((code, said.as_str()), (Some(1), "gaffer: not delivered: it answers 500: thanks\n"));
    let (code, said) = gaffer(&node, &["webhook", "rm", &id]);
    assert!(code == Some(1) && said.contains(&place), "{said}");
    assert!(!node.log().contains("hush"), "{}", node.log());
}

#[cfg(feature = "tls")]
#[test]
fn over_https_only_whom_its_authority_vouches_for_is_posted_to() {
    use super::tls::{file, front};
    let hook = Hook::listen();
    let secure = front(hook.port, true);
    let folder = Folder::new();
    for (from, to) in [("client.pem", "c.pem"), ("client.key", "c.key"), ("authority.pem", "a.pem")]
    {
        folder.write(to, &fs::read_to_string(file(from)).expect("it is there"));
        fs::set_permissions(folder.path(to), fs::Permissions::from_mode(0o600)).expect("ours");
    }
    let node = folder
        .args(&["--cacert", "@a.pem", "--client-certfile", "@c.pem", "--client-keyfile", "@c.key"])
        .start();
    let wish = json!({"event": ".", "url": format!("https://localhost:{}/in", secure.port())});
    node.does("POST", "/webhooks", &wish.to_string());
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    assert_eq!(hook.taken().event(), "load");
    // Whom the system's authorities do not know is told so.
    let other = Folder::new().env("SSL_CERT_FILE", &file("stranger.pem").display().to_string());
    let other = other.start();
    let made = other.does("POST", "/webhooks", &wish.to_string());
    let path = format!("/webhooks/{}/test", made["id"].as_str().expect("an id"));
    let told = other.does("POST", &path, "");
    assert_eq!(told["delivered"], false);
    assert!(told["error"].as_str().is_some_and(|why| why.contains("certificate")), "{told}");
}
