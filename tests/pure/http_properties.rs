//! HTTP connections under any bytes and any cut, and every shape of request smuggling by name.

use gaffer::front::request::Request;
use proptest::prelude::*;

use crate::fuzz_corpus::harness::http::{exchange, exchange_cut, http};

/// Requests of which any row is complete and valid.
const VALID: [&str; 9] = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\nHEAD /a%20b?c=d&e HTTP/1.1\r\nHost: h:1\r\nAccept:\t*/* \r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://h/x HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
    "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "DELETE /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
];

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

/// A few requests in a row.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(VALID.to_vec()), 1..5)
        .prop_map(|texts| texts.concat().into_bytes())
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_split_gives_the_same(data in requests(), cuts in prop::collection::vec(1..50usize, 1..9)) {
        let mut sizes = cuts.iter().copied().cycle();
        let cut = exchange_cut(&data, || sizes.next().unwrap_or(1));
        prop_assert_eq!(cut, exchange(&data, usize::MAX));
    }

    #[test]
    fn requests_with_a_wrong_byte_never_break_a_connection(
        data in requests(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..4),
    ) {
        let mut data = data;
        for (place, kind, byte) in changes {
            let at = place.index(data.len().max(1)).min(data.len().saturating_sub(1));
            match kind {
                0 if !data.is_empty() => data[at] = byte,
                1 if !data.is_empty() => drop(data.remove(at)),
                2 => data.insert(at, *b"\r\n :;,\0%".get(usize::from(byte % 8)).unwrap_or(&byte)),
                _ => data.insert(at, byte),
            }
        }
        http(&data);
    }

    #[test]
    fn arbitrary_bytes_never_break_a_connection(data in prop::collection::vec(any::<u8>(), 0..300)) {
        http(&data);
    }

    #[test]
    fn a_chunked_body_comes_out_as_it_was(
        body in prop::collection::vec(any::<u8>(), 0..2000),
        sizes in prop::collection::vec((1..300usize, 0..3usize), 1..9),
        piece in 1..40usize,
    ) {
        let mut data = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n".to_vec();
        let mut rest = body.as_slice();
        for (size, zeros) in sizes.into_iter().cycle() {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            let zeros = "0".repeat(zeros);
            data.extend_from_slice(format!("{zeros}{:X};ext\r\n", chunk.len()).as_bytes());
            if chunk.is_empty() {
                break;
            }
            data.extend_from_slice(chunk);
            data.extend_from_slice(b"\r\n");
        }
        data.extend_from_slice(b"Trailer: x\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        let requests: Vec<Request> = exchange(&data, piece).requests;
        prop_assert_eq!(requests.len(), 2);
        prop_assert_eq!(&requests[0].body, &body);
        prop_assert_eq!(&requests[1].path, "/next");
    }
}

#[test]
fn every_valid_request_is_read() {
    for text in VALID {
        assert_eq!(exchange(text.as_bytes(), usize::MAX).requests.len(), 1, "{text}");
    }
}

/// What a request hidden behind a wrongly framed one looks like.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// Heads of a POST that two servers could frame differently: a name, the fields, the status.
const FRAMING: [(&str, &str, u16); 42] = [
    ("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
    ("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
    ("length zero and chunked", "Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
    ("two lengths that differ", "Content-Length: 5\r\nContent-Length: 6", 400),
    ("two lengths that agree", "Content-Length: 5\r\nContent-Length: 5", 400),
    ("a list of lengths", "Content-Length: 5, 5", 400),
    ("length with a plus", "Content-Length: +5", 400),
    ("length with a minus", "Content-Length: -5", 400),
    ("length with an underscore", "Content-Length: 1_0", 400),
    ("length with plus and underscore", "Content-Length: +1_0", 400),
    ("length with a letter", "Content-Length: 1Z", 400),
    ("length in hexadecimal", "Content-Length: 0x10", 400),
    ("length in octal words", "Content-Length: 0o5", 400),
    ("length with a space inside", "Content-Length: 4 2", 400),
    ("length with a fraction", "Content-Length: 5.0", 400),
    ("length with an exponent", "Content-Length: 5e0", 400),
    ("empty length", "Content-Length:", 400),
    ("length over 64 bits", "Content-Length: 18446744073709551621", 400),
    ("length over 2^53", "Content-Length: 9007199254740993", 400),
    ("length in Arabic digits", "Content-Length: \u{665}", 400),
    ("length in quotes", "Content-Length: \"5\"", 400),
    ("length before its colon spaced", "Content-Length : 5", 400),
    ("chunked before its colon spaced", "Transfer-Encoding : chunked", 400),
    ("chunked before its colon tabbed", "Transfer-Encoding\t: chunked", 400),
    ("chunked behind an empty item", "Transfer-Encoding: ,chunked", 400),
    ("chunked before an empty item", "Transfer-Encoding: chunked,", 400),
    ("chunked twice in a list", "Transfer-Encoding: chunked, chunked", 400),
    ("chunked on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ("chunked not last", "Transfer-Encoding: chunked, deflate", 400),
    ("chunked behind identity", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400),
    ("gzip then chunked", "Transfer-Encoding: gzip, chunked", 400),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1", 400),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"", 400),
    ("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked", 400),
    ("chunked behind a no-break space", "Transfer-Encoding: \u{a0}chunked", 400),
    ("chunked folded", "Transfer-Encoding:\r\n chunked", 400),
    ("chunked behind a bare LF", "X: y\nTransfer-Encoding: chunked", 400),
    ("chunked behind a bare CR", "X: y\rTransfer-Encoding: chunked", 400),
    ("empty coding", "Transfer-Encoding:", 400),
    ("identity", "Transfer-Encoding: identity", 501),
    ("unknown coding", "Transfer-Encoding: pigeons", 501),
    ("chunked misspelt", "Transfer-Encoding: xchunked", 501),
];

/// Chunked bodies that two servers could cut differently.
const CHUNKS: [(&str, &str); 17] = [
    ("empty size", "\r\n"),
    ("space behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
    ("space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("size of 64 bits", "ffffffffffffffff\r\n"),
    ("size that wraps 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
    ("bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"),
    ("NUL in an extension", "5;\0\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the chunk", "5\r\nhello\n0\r\n\r\n"),
    ("chunk longer than its size", "5\r\nhelloX\r\n0\r\n\r\n"),
    ("bare LF behind the last chunk", "0\n\n"),
    ("last line with bare LF", "0\r\n\n"),
    ("request for a trailer", "0\r\n"),
];

/// Whole heads that are not what they seem.
const HEADS: [(&str, &str, u16); 16] = [
    ("bare LF throughout", "GET / HTTP/1.1\nHost: h\n\n", 400),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400),
    ("space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    ("field without a colon", "GET / HTTP/1.1\r\nHost: h\r\nGET /x HTTP/1.1\r\n\r\n", 400),
    ("no name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("host with a path", "GET / HTTP/1.1\r\nHost: h/p\r\n\r\n", 400),
    ("chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("version 0.9", "GET /\r\n", 400),
    ("version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("version 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
    ("lower-case method", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("raw UTF-8 target", "GET /é HTTP/1.1\r\nHost: h\r\n\r\n", 400),
];

fn refused(name: &str, data: &str, status: u16) {
    let data = format!("{data}{HIDDEN}");
    http(data.as_bytes());
    let exchange = exchange(data.as_bytes(), usize::MAX);
    let output = String::from_utf8_lossy(&exchange.output);
    assert!(exchange.requests.is_empty(), "{name}: {:?}", exchange.requests);
    assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {output}");
    assert!(!exchange.open, "{name} leaves the connection open");
}

#[test]
fn every_smuggling_shape_is_refused() {
    for (name, fields, status) in FRAMING {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        refused(name, &format!("{head}5\r\nhello\r\n0\r\n\r\n"), status);
    }
    for (name, body) in CHUNKS {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        refused(name, &format!("{head}{body}"), 400);
    }
    for (name, head, status) in HEADS {
        refused(name, head, status);
    }
}
