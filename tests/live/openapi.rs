//! schemathesis, which reads `/openapi.json` and asks a gafferd all that this names, well and badly: what is
//! answered has to be as it is written down there. `tests/clients/openapi.toml` says with which checks, and
//! `tests/clients/openapi.py` what it may not do: its jobs run commands of ours alone, in a node that finds no
//! others, and as nobody where this is root.
//!
//! `GAFFER_SCHEMATHESIS="--seed 7 --max-examples 500"` has it ask longer and other things.

use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, symlink, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Output;

use gaffer::node::routes::ROUTES;
use gaffer::sys::users::is_root;
use serde_json::json;

use super::clients::{limited, scripts, tool, url, SCRIPT_TIME};
use super::host::nobody;
use super::keys::owner;
use super::node::{Folder, Node};

/// How it asks, if nothing else is said.
const ASKED: &str = "--seed 1 --max-examples 4 --phases examples,coverage,fuzzing,stateful";

/// A program as the path leads to it.
fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(name));
    all.find(|program| program.exists()).unwrap_or_else(|| panic!("there is no {name}"))
}

/// A node that asks for keys, and that finds no programs but those of the jobs that are loaded.
fn node() -> Node {
    let mut folder = Folder::new().args(&["--require-key", "-p", "@plugins"]);
    for file in ["index.html", "page.css", "more/page.txt"] {
        folder.write(&format!("plugins/site/{file}"), "something to look at");
    }
    let bin = folder.path("bin");
    fs::create_dir(&bin).expect("ours");
    for name in ["cat", "sleep"] {
        symlink(found(name), bin.join(name)).expect("ours");
    }
    if is_root() {
        // Its folder is its own, as is what it makes there.
        let (uid, gid) = nobody();
        chown(folder.path(""), Some(uid), Some(gid)).expect("root may");
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).expect("root may");
        folder = folder.args(&["--user", "nobody"]);
    }
    folder.before(&format!("export PATH={}", bin.display())).start()
}

#[test]
fn schemathesis_finds_all_as_it_is_written_down() {
    let Some(program) = tool("schemathesis") else { return };
    let mut node = node();
    let made = |body| owner(&node, "POST", "/keys", &body);
    let all = made(json!({"label": "all", "permissions": {"admin": true}}));
    let own = made(json!({"label": "joe's", "permissions": {"manage": ["app"]}}));
    let [all_id, own_id] = [&all, &own].map(|key| key["id"].as_str().expect("an id"));
    let joe = json!({"username": "joe", "password": "correct horse", "key": own_id});
    owner(&node, "POST", "/users", &joe);
    let asked = std::env::var("GAFFER_SCHEMATHESIS").unwrap_or_else(|_| ASKED.into());
    let time = if asked == ASKED { SCRIPT_TIME } else { "3600" };
    let done = limited(time, program.as_os_str())
        .arg("--config-file")
        .arg(scripts().join("openapi.toml"))
        .args(["run", &format!("{}/openapi.json", url(&node))])
        .args(asked.split_whitespace())
        .current_dir(node.path(""))
        .env("SCHEMATHESIS_HOOKS", scripts().join("openapi.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GAFFER_URL", url(&node))
        .env("GAFFER_KEY", all["api_key"].as_str().expect("a key"))
        .env("GAFFER_KEPT_KEYS", format!("{all_id},{own_id}"))
        .output();
    let Output { status, stdout, .. } = done.expect("timeout runs");
    let said = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{status}\n{said}");
    // It leaves out the document itself.
    let count = ROUTES.len() - 1;
    assert!(said.contains(&format!("{count} selected / {count} total")), "{said}");
    node.stop();
    let log = node.log();
    assert!(!log.contains("[ERROR]") && !log.contains("panicked"), "{log}");
    node.assert_nothing_left();
}
