//! How a client opens a websocket (RFC 6455 section 4.1): its request, and the check of the answer, over
//! memory.

use data_encoding::BASE64;

use super::ws::accept_of;
use crate::base::limits;
use crate::VERSION;

/// A request for a websocket that is not answered yet.
pub struct Opening {
    key: String,
}

impl Opening {
    /// One with this key, which is to be another one each time.
    pub fn new(key: [u8; 16]) -> Self {
        Self { key: BASE64.encode(&key) }
    }

    /// The request, for this target at this host.
    pub fn request(&self, host: &str, target: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gaffer/{VERSION}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {}\r\n\r\n",
            self.key
        )
    }

    /// Takes the head of the answer out of `input`, once it is whole: from then on that is a websocket.
    /// `None`: it is not whole yet.
    ///
    /// # Errors
    /// Why it does not become one, in words.
    pub fn answered(&self, input: &mut Vec<u8>) -> Option<Result<(), String>> {
        let mut fields = [httparse::EMPTY_HEADER; limits::HTTP_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() <= limits::HTTP_HEAD => return None,
            Ok(httparse::Status::Partial) => return Some(Err("its answer has no end".into())),
            Err(_) => return Some(Err("it does not speak HTTP".into())),
        };
        let field = |name: &str| {
            let mut fields = head.headers.iter();
            fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let accept = accept_of(&self.key);
        let upgrades = field("upgrade").is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"));
        let accepts = upgrades && field("sec-websocket-accept") == Some(accept.as_bytes());
        let checked = match head.code {
            Some(101) if accepts => Ok(()),
            Some(101) => Err("it opens a websocket that was not asked for".into()),
            Some(421) => {
                Err("it does not know the name under which it is asked (421): --allowed-host"
                    .into())
            }
            Some(409) => Err("it answers from an etcd, and takes no nodes (409): \
                              --lookupd-address etcd://HOST:PORT/PREFIX"
                .into()),
            Some(code) => Err(format!("it answers {code} instead of opening a websocket")),
            None => Err("it does not speak HTTP".into()),
        };
        if checked.is_ok() {
            input.drain(..length);
        }
        Some(checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the RFC.
    fn opening() -> Opening {
        Opening { key: "dGhlIHNhbXBsZSBub25jZQ==".into() }
    }

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn what_we_ask_for_is_what_a_server_takes() {
        use crate::wire::ws::handshake;
        let opening = Opening::new([7; 16]);
        let request = opening.request("host:1", "/ws");
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut fields);
        assert!(head.parse(request.as_bytes()).expect("a request").is_complete());
        let mut headers = crate::wire::http::Headers::default();
        for field in head.headers.iter() {
            headers.push(field.name, std::str::from_utf8(field.value).expect("text"));
        }
        let version = crate::wire::http::Version::Http11;
        let accept = handshake(crate::wire::http::Method::Get, version, &headers);
        let answer = GOOD.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept.expect("good"));
        assert_eq!(opening.answered(&mut answer.into_bytes()), Some(Ok(())));
    }

    #[test]
    fn the_answer_ends_where_the_websocket_begins() {
        let mut input = Vec::new();
        let mut answers = Vec::new();
        for byte in GOOD.bytes() {
            input.push(byte);
            answers.extend(opening().answered(&mut input));
        }
        assert_eq!((answers, input.len()), (vec![Ok(())], 0));
        let mut input = [GOOD.as_bytes(), b"frames"].concat();
        assert_eq!(opening().answered(&mut input), Some(Ok(())));
        assert_eq!(input, b"frames");
    }

    #[test]
    fn another_answer_opens_nothing() {
        let because = |text: &str| opening().answered(&mut text.as_bytes().to_vec());
        let why = |text: &str| because(text).and_then(Result::err).unwrap_or_default();
        assert_eq!(
            why("HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            "it answers 503 instead of opening a websocket"
        );
        assert!(why("HTTP/1.1 421 Misdirected Request\r\n\r\n").contains("--allowed-host"));
        assert!(why("HTTP/1.1 409 Conflict\r\n\r\n").contains("etcd://HOST"));
        for (from, to) in [("s3pP", "s3pQ"), ("Upgrade: websocket", "Upgrade: h2c")] {
            assert!(why(&GOOD.replace(from, to)).contains("not asked for"), "{from}");
        }
        assert_eq!(why("SSH-2.0-x\r\n\r\n"), "it does not speak HTTP");
        let long = |count: usize| format!("HTTP/1.1 101 x\r\nA: {}", "x".repeat(count - 19));
        assert_eq!(because(&long(limits::HTTP_HEAD)), None);
        assert_eq!(why(&long(limits::HTTP_HEAD + 1)), "its answer has no end");
    }
}
