//! What gafferd takes of a machine may not grow unseen: the sizes here are its budget. Whoever adds something that is
//! worth more says so by changing a number, and whoever saves something lowers it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use super::node::{Folder, Node};
use super::until::until;
use super::ws_client;

/// The program as `cargo build --release` makes it, in KiB.
const PROGRAM: u64 = 4_440;
/// Memory in KiB that is the process's own and in no file, when it has nothing to do: alone,
const ALONE: u64 = 580;
/// with a hundred jobs of one process,
const HUNDRED_JOBS: u64 = 920;
/// and with a hundred websockets.
const HUNDRED_WEBSOCKETS: u64 = 1_030;

/// Waits until what was needed for a while is given back.
fn until_within(budget: u64, what: &str, node: &Node) {
    let mut own = 0;
    until(&format!("{what} within {budget} KiB of tests/live/footprint.rs"), || {
        let path = format!("/proc/{}/smaps_rollup", node.os_pid);
        let text = fs::read_to_string(path).expect("it runs");
        let line = text.lines().find(|line| line.starts_with("Pss_Anon:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        own = number.and_then(|number| number.parse().ok()).expect("a kernel since 5.9 tells it");
        own <= budget
    });
    println!("{what}: {own} of {budget} KiB");
}

#[test]
fn an_idle_node_stays_within_its_budget() {
    let node = Folder::new().start();
    until_within(ALONE, "a node alone", &node);
    let address = format!("127.0.0.1:{}", node.port);
    let sockets: Vec<TcpStream> = (0..100).map(|_| websocket(&address)).collect();
    until_within(HUNDRED_WEBSOCKETS, "a hundred idle websockets", &node);
    drop(sockets);
}

#[test]
fn a_hundred_jobs_stay_within_their_budget() {
    let job = |n| json!({"name": format!("j{n}"), "cmd": "sleep 100000"});
    let node = Folder::new().load(&(0..100).map(job).collect()).start();
    until("all run", || node.children().len() == 100);
    until_within(HUNDRED_JOBS, "a hundred jobs", &node);
}

fn websocket(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let host = format!("Host: {address}\r\n");
    stream.write_all(&ws_client::handshake("/channel/websocket", &host, "")).expect("sent");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 101"));
    stream
}

#[test]
fn the_program_stays_within_its_budget() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release").join("gafferd");
    let made = fs::metadata(&program).and_then(|file| Ok((file.len() / 1024, file.modified()?)));
    let newest = newest(Path::new(env!("CARGO_MANIFEST_DIR")));
    let Some((size, _)) = made.ok().filter(|(_, made)| *made >= newest) else {
        let word = "`cargo build --release` has not been run since something was changed";
        assert!(std::env::var_os("CI").is_none(), "{word}");
        return println!("skipped: {word}");
    };
    assert!(size <= PROGRAM, "{size} of {PROGRAM} KiB of tests/live/footprint.rs");
    println!("the program: {size} of {PROGRAM} KiB");
}

/// When something was changed last that goes into the program.
fn newest(root: &Path) -> SystemTime {
    let mut places: Vec<PathBuf> =
        ["src", "build.rs", "Cargo.toml", "Cargo.lock"].map(|name| root.join(name)).into();
    let mut newest = SystemTime::UNIX_EPOCH;
    while let Some(place) = places.pop() {
        match fs::read_dir(&place) {
            Ok(entries) => places.extend(entries.map(|entry| entry.expect("readable").path())),
            Err(_) => {
                let changed = fs::metadata(&place).and_then(|file| file.modified());
                newest = newest.max(changed.expect("it is there"));
            }
        }
    }
    newest
}
