//! What gafferd has in memory: alone, with jobs, with instances of one job, with connections and with websockets
//! that are idle, and what each of these takes. The limit is the program alone.
//!
//! `cargo bench --bench footprint [JOBS]`. With the variable `GAFFERD` another build is measured, such as the static
//! one.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod bench;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bench::{number, rest, sleepers, until, Gafferd};

fn main() {
    let count = number(100);
    println!("gafferd, Pss (of it anonymous) in KiB, and bytes for each of {count}");
    let alone = Gafferd::start("");
    let floor = tell("alone", &alone, None, 1);
    drop(alone);

    let jobs = Gafferd::start(&sleepers(count));
    until(|| jobs.children() == count);
    tell("jobs of one process", &jobs, Some(floor), count);
    drop(jobs);

    let instances = format!("[process:j]\ncmd = sleep 100000\nnumprocesses = {count}\n");
    let instances = Gafferd::start(&instances);
    until(|| instances.children() == count);
    tell("instances of one job", &instances, Some(floor), count);
    drop(instances);

    for (what, upgrade) in [("idle connections", false), ("idle websockets", true)] {
        let gafferd = Gafferd::start("");
        let address = gafferd.address();
        let clients: Vec<TcpStream> = (0..count).map(|_| client(&address, upgrade)).collect();
        tell(what, &gafferd, Some(floor), count);
        drop(clients);
    }
}

/// Prints what it takes, once that has settled, and gives it in KiB.
fn tell(what: &str, gafferd: &Gafferd, floor: Option<u64>, count: usize) -> u64 {
    // What is free is given back a while after the last thing happened.
    rest(6_000);
    let memory = gafferd.memory();
    let each = floor.map(|floor| memory.pss.saturating_sub(floor) * 1024 / count as u64);
    let each = each.map(|each| format!(", {each} each")).unwrap_or_default();
    println!("{what:22} {:6} ({}){each}", memory.pss, memory.own);
    memory.pss
}

/// A client that has asked for something and then says nothing, or a session of the channel.
fn client(address: &str, upgrade: bool) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = match upgrade {
        false => format!("GET /ping HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        true => format!(
            "GET /channel/websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    };
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(if upgrade { b"HTTP/1.1 101" } else { b"HTTP/1.1 200" }));
    stream
}
