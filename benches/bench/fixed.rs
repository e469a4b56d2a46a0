//! The least that answers requests: it reads one and writes an answer of a fixed size, without looking at either.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::kernel::raise_nofile;
use super::{end, role, start};

/// Such a server, in a process of its own.
pub(crate) struct Fixed {
    pub(crate) child: Child,
    pub(crate) at: String,
}

impl Fixed {
    /// Its answers have this length in all.
    pub(crate) fn start(length: usize) -> Self {
        let mut command = role("--serve", &[&length.to_string()]);
        let mut child = start(command.stdout(Stdio::piped()));
        let at = address_of(&mut child);
        Self { child, at }
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The address that a role prints once it listens.
pub(crate) fn address_of(child: &mut Child) -> String {
    let mut at = [0; 32];
    let length = child.stdout.as_mut().expect("a pipe").read(&mut at).expect("its address");
    String::from_utf8_lossy(&at[..length]).trim().to_owned()
}

/// The role.
pub(crate) fn serve(words: &[String]) {
    raise_nofile();
    let length: usize = words[0].parse().expect("a length");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    let mut poll = mio::Poll::new().expect("a poll");
    let mut events = mio::Events::with_capacity(64);
    listener.set_nonblocking(true).expect("a socket");
    let mut listener = mio::net::TcpListener::from_std(listener);
    let listening = mio::Token(usize::MAX >> 1);
    let readable = mio::Interest::READABLE;
    poll.registry().register(&mut listener, listening, readable).expect("a poll");
    let head = |body: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {body:06}\r\n\r\n");
    let body = length.saturating_sub(head(0).len());
    let answer = [head(body).into_bytes(), vec![b'x'; body]].concat();
    let (mut streams, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        poll.poll(&mut events, None).expect("events");
        for event in &events {
            if event.token() == listening {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).expect("a socket");
                    let token = mio::Token(streams.len());
                    poll.registry().register(&mut stream, token, readable).expect("a poll");
                    streams.push(stream);
                }
                continue;
            }
            let stream: &mut mio::net::TcpStream = &mut streams[event.token().0];
            if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                stream.write_all(&answer).expect("room for an answer");
            }
        }
    }
}
