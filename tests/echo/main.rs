//! A server with the `SockJS` services that the protocol's test suite asks for: `/echo`, `/close`,
//! `/disabled_websocket_echo` and `/cookie_needed_echo`, and with a websocket that is no service,
//! `/plain`. It lets every page in, because it has nothing to protect. It is also the smallest machine
//! for the reactor.

mod machine;

use std::net::SocketAddr;
use std::process::ExitCode;

use gaffer::base::clock::Now;
use gaffer::node::machine::Configuration;
use gaffer::reactor::files::Files;
use gaffer::reactor::sockets::Listener;
use gaffer::reactor::store::Settings;
use gaffer::reactor::turn::{Parts, Reactor, Share, World};
use gaffer::sys::spawn::Spawner;
use gaffer::sys::{entropy, sockets};

use machine::Echo;

/// There is nothing around this server.
struct Nothing;

impl World for Nothing {
    fn read_config(&mut self) -> Result<Configuration, String> {
        Ok(Configuration::default())
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn print(&mut self, _: &str, _: Now) -> bool {
        true
    }
}

fn run(bind: SocketAddr) -> Result<u8, String> {
    let mut seed = [0; 8];
    entropy::random_bytes(&mut seed).map_err(|errno| format!("no random numbers: {errno}"))?;
    let listener = sockets::listen_tcp(bind, 128).map_err(|error| format!("{bind}: {error}"))?;
    let spawner = Spawner::new(None).map_err(|errno| format!("no processes: {errno}"))?;
    let files = Files::new(std::env::temp_dir());
    let logs = Settings::default();
    let parts = Parts { spawner, files, logs, world: Box::new(Nothing), share: Share::ALL };
    let machine = Echo::new(u64::from_le_bytes(seed));
    let mut reactor = Reactor::new(machine, parts).map_err(|error| error.to_string())?;
    let listener = mio::net::TcpListener::from_std(listener);
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    reactor.listen(Listener::Tcp(listener)).map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    reactor.run().map_err(|error| format!("the loop failed: {error}"))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let bind = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "127.0.0.1:8081".parse().ok(),
        ["--bind", address] => address.parse().ok(),
        _ => None,
    };
    let Some(bind) = bind else {
        eprintln!("usage: echo [--bind ADDRESS:PORT]");
        return ExitCode::from(2);
    };
    match run(bind) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("echo: {reason}");
            ExitCode::FAILURE
        }
    }
}
