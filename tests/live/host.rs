//! What the daemons do on the machine they run on: which files and directories they trust, as whom they go
//! on, and what of them nobody sees.

use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, symlink, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use gaffer::sys::users;
use serde_json::json;

use super::http::Client;
use super::node::{Folder, Node, HUP, USR1};
use super::until::until;

/// Starts in vain, for this reason.
fn refuses(folder: &Folder, reason: &str) {
    let refused = folder.run();
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    assert!(refused.said.contains(reason), "{reason:?} is not in {:?}", refused.said);
    assert_eq!(refused.said.lines().count(), 1, "{:?}", refused.said);
}

fn set_mode(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.path(name), Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn a_state_directory_that_others_may_write_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("state")).expect("ours");
    set_mode(&folder, "state", 0o1777);
    refuses(&folder, "/state: everybody may write it; chmod go-w it, or choose another");
    assert_eq!(fs::read_dir(folder.path("state")).expect("there").count(), 0, "nothing is written");
}

#[test]
fn a_pidfile_or_a_log_that_somebody_laid_out_is_refused() {
    for (option, what) in [("--pidfile", "the pidfile "), ("--error-log", "the log file ")] {
        let folder = Folder::new().args(&[option, "@file"]);
        folder.write("other", "kept");
        symlink(folder.path("other"), folder.path("file")).expect("ours");
        refuses(&folder, what);
        refuses(&folder, "/file: Too many levels of symbolic links");
        fs::remove_file(folder.path("file")).expect("ours");
        fs::hard_link(folder.path("other"), folder.path("file")).expect("ours");
        refuses(&folder, "/file: it is a hard link to a file that has another name; remove it");
        assert_eq!(folder.read("other"), "kept");
        let folder = Folder::new().args(&[option, "@open/file"]);
        fs::create_dir(folder.path("open")).expect("ours");
        set_mode(&folder, "open", 0o777);
        refuses(&folder, "/open/file: everybody may write its directory; chmod go-w that");
        assert!(!folder.path("open/file").exists());
    }
}

#[test]
fn a_socket_in_a_directory_that_others_may_write_is_refused() {
    let folder = Folder::new().args(&["--socket", "@open/s"]);
    fs::create_dir(folder.path("open")).expect("ours");
    set_mode(&folder, "open", 0o777);
    refuses(
        &folder,
        "/open/s: everybody may write its directory; chmod go-w that, or name another",
    );
}

#[test]
fn root_reads_no_configuration_that_others_may_write() {
    if !users::is_root() {
        println!("skipped: who is not root may read what he likes");
        return;
    }
    let named = |option: &str, name: &str, text: &str| {
        let folder = Folder::new().args(&[option, &format!("@conf/{name}")]);
        folder.write(&format!("conf/{name}"), text);
        folder
    };
    let ini = "[gaffer]\ninclude_dir = jobs\n";
    for folder in [
        named("--config", "file", ini),
        named("--procfile", "file", "web: true\n"),
        named("--load", "file", r#"{"name": "a", "cmd": "true"}"#),
    ] {
        folder.write("conf/jobs/a.ini", "");
        set_mode(&folder, "conf/file", 0o666);
        refuses(
            &folder,
            "/conf/file: everybody may write it, and this runs as root; chmod go-w it",
        );
        set_mode(&folder, "conf/file", 0o644);
        set_mode(&folder, "conf", 0o777);
        refuses(&folder, "/conf: everybody may write it, and this runs as root; chmod go-w it");
    }
    let folder = named("--config", "file", ini);
    folder.write("conf/jobs/a.ini", "");
    set_mode(&folder, "conf/jobs", 0o1777);
    refuses(&folder, "/conf/jobs: everybody may write it, and this runs as root");
    set_mode(&folder, "conf/jobs", 0o755);
    set_mode(&folder, "conf/jobs/a.ini", 0o666);
    refuses(&folder, "/conf/jobs/a.ini: everybody may write it, and this runs as root");
}

/// Whether a core file is written of a daemon that a fault of its own ends.
fn dumps_core(folder: Folder) -> bool {
    let mut node = folder.before(WITH_CORE).start();
    // SIGABRT, for which no handler is set.
    node.signal(6);
    node.status().core_dumped()
}

const WITH_CORE: &str = "ulimit -c unlimited";

#[test]
fn no_core_file_holds_the_keys_of_a_daemon() {
    let folder = Folder::new();
    let mut other = Command::new("sh");
    other.args(["-c", &format!("{WITH_CORE}; kill -ABRT $$")]).current_dir(folder.path(""));
    if !other.status().expect("sh runs").core_dumped() {
        println!("skipped: no core files are written here");
        return;
    }
    assert!(!dumps_core(folder));
    assert!(!dumps_core(Folder::of_lookupd()));
}

pub(crate) fn nobody() -> (u32, u32) {
    let id = |flag: &str| {
        let said = Command::new("id").args([flag, "nobody"]).output().expect("id runs").stdout;
        String::from_utf8_lossy(&said).trim().parse().expect("a number")
    };
    (id("-u"), id("-g"))
}

fn owner(node: &Node, name: &str) -> (u32, u32) {
    let found = fs::symlink_metadata(node.path(name)).expect(name);
    (found.uid(), found.gid())
}

/// The ids of a process: real, effective, saved and of the file system.
fn ids(os_pid: i32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{os_pid}/status")).unwrap_or_default();
    let mut lines = status.lines().filter(|line| line.starts_with("Uid:"));
    let line = lines.next().unwrap_or_default();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_daemon_of_root_goes_on_as_another_user() {
    if !users::is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let folder =
        Folder::new().args(&["--user", "nobody", "--socket", "@run/s", "--pidfile", "@pid"]);
    let folder = folder.args(&["--error-log", "@log", "--state-dir", "@st/ate", "-c", "@g.ini"]);
    set_mode(&folder, "", 0o755);
    let folder = folder.env("HOME", "/root").env("USER", "root");
    folder.write(
        "g.ini",
        "[job:a]\nshell = yes\ncmd = echo \"$HOME\" $USER; id -un; exec sleep 1000\n",
    );
    let mut node = folder.start();
    let nobody = nobody();
    assert_eq!(ids(node.os_pid), vec![nobody.0.to_string(); 4]);
    for name in ["run", "run/s", "st", "st/ate", "st/ate/lock", "log"] {
        assert_eq!(owner(&node, name), nobody, "{name}");
    }
    assert_eq!(owner(&node, "pid"), (0, 0), "nobody but root changes who is signalled");
    let written = || node.ask("GET", "/logs/default/a", "").text().to_owned();
    until("the job has written", || written().lines().count() == 2);
    assert!(written().contains(" nobody\n") && !written().contains("root"), "{}", written());
    let root = json!({"name": "x", "cmd": "a", "uid": "root"});
    let refused = node.ask("POST", "/jobs/t", &root.to_string());
    let only = "only a daemon of root may run a job as another user";
    assert!(refused.status == 400 && refused.text().contains(only), "{}", refused.text());
    let mut client = Client::unix(&node.path("run/s")).expect("root may");
    assert_eq!(client.request("GET", "/ping", "").expect("answered").status, 200);
    node.signal(HUP);
    until("it has read its files again", || node.log().contains("SIGHUP"));
    fs::rename(node.path("log"), node.path("log.1")).expect("ours");
    fs::write(node.path("log"), "").expect("ours");
    chown(node.path("log"), Some(nobody.0), None).expect("root may");
    node.signal(USR1);
    until("it writes into the new log", || node.log().contains("opened again"));
    node.stop();
    assert_eq!(node.read("pid"), "", "nobody is named who is gone");
}

#[test]
fn a_user_that_there_is_not_is_told() {
    refuses(
        &Folder::new().args(&["--user", "no-such-user"]),
        "user: there is no user \"no-such-user\"",
    );
    refuses(
        &Folder::new().args(&["--user", "root:no-such-group"]),
        "there is no group \"no-such-group\"",
    );
    let lookupd = Folder::of_lookupd().args(&["--user", "no-such-user"]);
    assert!(lookupd.run().said.contains("user: there is no user"));
}
