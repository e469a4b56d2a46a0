//! A node without HTTP in a host's own loop: the host waits with poll(2) for the node and for its standard
//! input, each line of which is how many processes the job is to have; the end of it ends the node.
//!
//!     (echo 3; sleep 1; echo 0) | cargo run --example nested

use std::os::fd::AsFd as _;
use std::time::Duration;

use gaffer::embed::{Config, Daemon, Error};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::retry_on_intr;
use serde_json::json;

fn main() -> Result<(), Error> {
    let builder = Daemon::builder(Config::new());
    let mut daemon = builder.job("site.web", json!({"cmd": "sleep 1000"})).build()?;
    let stdin = std::io::stdin();
    let (mut text, mut over) = (Vec::new(), false);
    loop {
        let idle = daemon.idle().and_then(|idle| Timespec::try_from(idle).ok());
        let mut both = vec![PollFd::new(&daemon, PollFlags::IN)];
        if !over {
            both.push(PollFd::new(&stdin, PollFlags::IN));
        }
        // An ending child interrupts a wait: SIGCHLD has a handler, and poll(2) is never restarted by itself.
        retry_on_intr(|| poll(&mut both, idle.as_ref())).expect("the kernel polls");
        if both.get(1).is_some_and(|input| !input.revents().is_empty()) {
            let mut piece = [0; 1024];
            let count = rustix::io::read(stdin.as_fd(), &mut piece).expect("it is readable");
            text.extend_from_slice(&piece[..count]);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8(text.drain(..=end).collect()).unwrap_or_default();
                let number = line.trim().parse().unwrap_or(0);
                println!("{:?}", daemon.with(|node| node.scale("site.web", number)));
            }
            over = count == 0;
            if over {
                daemon.with(|node| node.shut_down());
            }
        }
        if let Some(code) = daemon.turn(Some(Duration::ZERO))? {
            std::process::exit(code.into());
        }
    }
}
