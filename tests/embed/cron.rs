//! A host that starts a job every so often, as cron does: an application with a timer. Each run is a job of its
//! own that does not start again; the next begins when the time has come, and the last one is taken away.
//!
//!     cargo run --example cron -- 2 'date; uptime' 3
//!
//! runs a shell line every 2 seconds, 3 times, and prints how each run ended.

use std::time::Duration;

use gaffer::embed::{App, Config, Daemon, Error, Event, Node};
use serde_json::json;

const JOB: &str = "cron.run";

struct Cron {
    every: Duration,
    line: String,
    left: u32,
}

impl App for Cron {
    fn name(&self) -> &str {
        "cron"
    }

    fn start(&mut self, node: &mut Node<'_>) {
        self.timer(node);
    }

    fn timer(&mut self, node: &mut Node<'_>) {
        // The first time there is none to take away.
        let _ = node.unload(JOB);
        let job = json!({"cmd": self.line, "shell": true, "restart": "never"});
        if let Err(refused) = node.load(JOB, &job) {
            eprintln!("cron: {refused}");
        }
    }

    fn event(&mut self, event: &Event, node: &mut Node<'_>) {
        if event.name != "exit" || event.job != JOB {
            return;
        }
        println!("ended with {}", event.fields["exit_status"]);
        self.left -= 1;
        match self.left {
            0 => node.shut_down(),
            _ => node.set_timer(self.every),
        }
    }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, line, times] = args.as_slice() else {
        eprintln!("usage: cron SECONDS LINE TIMES");
        std::process::exit(2);
    };
    let seconds = seconds.parse().unwrap_or(1.0);
    let (every, left) = (Duration::from_secs_f64(seconds), times.parse().unwrap_or(1));
    let cron = Cron { every, line: line.clone(), left };
    Daemon::builder(Config::new()).app(cron).signals().build()?.run()?;
    Ok(())
}
