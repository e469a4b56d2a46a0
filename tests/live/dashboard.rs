//! The dashboard in a browser, in front of the real gafferd.

use serde_json::{json, Value};

use super::clients::{run, run_for, tool, url};
use super::keys::{minted, owner};
use super::node::{Folder, Node};

/// Some jobs as people have them, and some that print what no page likes.
fn jobs() -> Value {
    let sh = |script: &str| json!(["-c", script]);
    let web = r"i=0; while :; do i=$$((i+1)); printf '\033[32mGET\033[0m /items/%s \033[1m200\033[0m in 12 ms\n' $$i; sleep 0.2; done";
    let html = r#"echo '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
        printf '\033]0;owned\007title: \033[2J\033[31ma cursor\033[1;1H\033[0m b\n'
        printf '\033[999999999999;38;5;999;48;2m\033[\033]8;;javascript:alert(1)\007link\n'; exec sleep 1000"#;
    let mail = "echo connecting to smtp.example:25; echo 'error: connection refused' >&2; exit 3";
    json!([
        {"name": "shop.web", "cmd": "sh", "args": sh(web), "numprocesses": 2, "os_env": true},
        {"name": "shop.mail", "cmd": "sh", "args": sh(mail), "flapping": {"attempts": 1, "max_retry": 0}},
        {"name": "shop.migrate", "cmd": "sh", "args": sh("echo migrating; echo done"), "restart": "never"},
        {"name": "shop.worker", "cmd": "sh", "args": sh("while :; do i=1; while [ $$i -lt 3000 ]; do i=$$((i+1)); done; sleep 0.1; done"), "os_env": true},
        {"name": "ops.backup", "cmd": "sleep", "args": ["1000"], "start": false, "os_env": true},
        {"name": "ops.cat", "cmd": "cat", "redirect_input": true, "os_env": true},
        {"name": "ops.html", "cmd": "sh", "args": sh(html), "os_env": true},
        {"name": "ops.long", "cmd": "sh", "args": sh("i=0; while [ $$i -lt 6000 ]; do i=$$((i+1)); echo line $$i; done; exec sleep 1000"), "os_env": true},
    ])
}

fn start(args: &[&str]) -> Node {
    Folder::new().load(&jobs()).args(args).start()
}

/// A node that names another one, and that a lookupd knows by its own name.
fn beside(lookupd: &Node, own: &str, other: &str, job: &str) -> Node {
    let args = ["-c", &format!("echo from {own}; exec sleep 1000")];
    let jobs = json!([{"name": job, "cmd": "sh", "args": args, "os_env": true}]);
    let (host, origin) = (format!("{own}.test"), format!("http://{other}.test"));
    let (broadcast, lookupd) = (format!("http://{own}.test:80"), url(lookupd));
    let folder = Folder::new().load(&jobs).args(&["--allowed-host", &host, "--origin", &origin]);
    folder.args(&["--lookupd-address", &lookupd, "--broadcast-address", &broadcast]).start()
}

#[test]
fn people_see_and_do_everything_in_a_browser() {
    let (Some(program), Some(_)) = (tool("node"), tool("chromium")) else { return };
    let mut lookupd = Folder::of_lookupd().args(&["--origin", "http://n1.test"]).start();
    let mut nodes = [
        start(&[]),
        start(&[]),
        start(&["--require-key"]),
        beside(&lookupd, "n1", "n2", "one.web"),
        beside(&lookupd, "n2", "n1", "two.web"),
    ];
    let [node, spare, keyed, first, second] = &nodes;
    let reads = minted(keyed, json!({"read": ["*"]}));
    let joe = json!({"username": "joe", "password": "right-password", "key": reads});
    owner(keyed, "POST", "/users", &joe);
    let manages = minted(keyed, json!({"manage": ["*"]}));
    let more = [url(spare), url(keyed), reads, manages, url(first), url(second)];
    let more = more.each_ref().map(String::as_str);
    run(&program, "dashboard.js", &url(node), node.os_pid, &more);
    assert_eq!(nodes[0].ended(), Some(0), "the script has ended it");
    for node in &mut nodes[1..] {
        node.stop();
    }
    lookupd.stop();
    for node in &nodes {
        let log = node.log();
        assert!(!log.contains("[ERROR]") && !log.contains("panicked"), "{log}");
        node.assert_nothing_left();
    }
}

/// A node as there are some, for its picture.
fn shop() -> Value {
    let sh = |script: &str| json!(["-c", script]);
    let node = |script: &str| json!(["-e", script]);
    let burn = "const burn = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };";
    let web = format!("{burn} let i = 0; let kept = []; const next = () => {{ i += 1; burn(20 + (i * 7919) % 90);
        kept.push(Buffer.alloc(200000, 1)); if (kept.length > 120) kept = [];
        const [path, ms] = [(i * 37) % 900, 3 + (i * 13) % 40];
        if (i % 9) console.log(`\\x1b[32mGET\\x1b[0m /items/${{path}} \\x1b[1m200\\x1b[0m in ${{ms}} ms`);
        else console.error('\\x1b[31mPOST\\x1b[0m /cart \\x1b[1m503\\x1b[0m no stock');
        setTimeout(next, 250 + (i * 31) % 200); }}; next();").replace('$', "$$");
    let search = format!("{burn} let i = 0; setInterval(() => {{ i += 1; burn(30 + 170 * Math.abs(Math.sin(i / 60))); }}, 400);");
    let mail = "echo connecting to smtp.example:25; sleep 0.5; echo 'error: connection refused' >&2; exit 1";
    let env = json!({"PORT": "8000", "DATABASE_PASSWORD": "secret"});
    json!([
        {"name": "shop.web", "cmd": "node", "args": node(&web), "numprocesses": 3, "os_env": true, "env": env},
        {"name": "shop.search", "cmd": "node", "args": node(&search), "os_env": true},
        {"name": "shop.mail", "cmd": "sh", "args": sh(mail), "backoff": {"base": 5.0, "max": 40.0}, "os_env": true},
        {"name": "shop.migrate", "cmd": "sh", "args": sh("echo migrating; echo done"), "restart": "never"},
        {"name": "ops.metrics", "cmd": "node", "args": node("setInterval(() => console.log('scraped 214 series'), 5000)"), "os_env": true},
        {"name": "ops.backup", "cmd": "sleep", "args": ["1000"], "start": false, "os_env": true},
        {"name": "ops.reindex", "cmd": "/usr/local/bin/reindex", "flapping": {"attempts": 1, "max_retry": 0}},
        {"name": "ops.shell", "cmd": "cat", "redirect_input": true, "os_env": true},
    ])
}

/// Takes minutes, and makes files in the folder that is named by `SCREENSHOTS`: only for whoever asks for that.
#[test]
fn the_dashboard_has_its_pictures() {
    let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
    let (Some(program), Some(_)) = (tool("node"), tool("chromium")) else { return };
    std::fs::create_dir_all(folder).expect("a folder for pictures");
    let folder = Folder::new().load(&shop());
    let mut node = folder.args(&["--allowed-host", "shop1.example"]).start();
    run_for("600", &program, "pictures.js", (&url(&node), node.os_pid), &[]);
    node.stop();
}
