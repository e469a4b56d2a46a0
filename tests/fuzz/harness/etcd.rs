//! Answers to requests of ours, and those of an etcd: they are read alike in whatever pieces they come; what
//! is read of an etcd never panics, and a key that is one of ours is written in one way.

#![allow(
    unreachable_pub,
    reason = "the fuzz targets are another crate, the tests include this file"
)]

use gaffer::lookup::identity::Identity;
use gaffer::wire::etcd::{self, Done, Lease, Ranged, Watched};
use gaffer::wire::http::{AnswerHead, AnswerReader, Broken};
use gaffer::wire::topology::{self, Keys, NodeValue};

/// Longest body.
const MOST: usize = 4096;

/// What was read of an answer: its head, its body, what is left behind it, and whether it is whole.
type Read = (Option<AnswerHead>, Vec<u8>, Vec<u8>, bool);

/// The fuzz target for answers.
pub fn answer(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    for piece in [1, 3] {
        let cut = read(data, piece);
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => assert_eq!(whole, cut),
            // Which of two limits is met first may depend on the pieces.
            (Err(_), Err(_)) => {}
            (whole, cut) => panic!("{whole:?} in one piece, {cut:?} in pieces of {piece}"),
        }
    }
    if let Ok((Some(head), body, ..)) = &whole {
        understand(head.status, body);
    }
    understand(200, data);
    let keys = Keys::below("g");
    let key = [b"g/nodes/", data].concat();
    if let Some(found) = keys.read(&key) {
        let again = match &found.job {
            None => keys.node(&found.name, &found.origin),
            Some(job) => keys.job(&found.name, &found.origin, job),
        };
        assert_eq!(again, key);
    }
}

fn read(data: &[u8], piece: usize) -> Result<Read, Broken> {
    let mut reader = AnswerReader::new("GET", MOST);
    let (mut input, mut body, mut head, mut done) = (Vec::new(), Vec::new(), None, false);
    for bytes in data.chunks(piece) {
        input.extend_from_slice(bytes);
        if head.is_none() {
            head = reader.head(&mut input)?;
        }
        if head.is_some() && !done {
            done = reader.body(&mut input, &mut body)?;
        }
    }
    assert!(body.len() <= MOST);
    Ok((head, body, input, done))
}

/// Whatever an etcd says is understood or not.
fn understand(status: u16, body: &[u8]) {
    let _ = etcd::read::<Lease>(status, body);
    let _ = etcd::read::<Ranged>(status, body).map(|ranged| ranged.kvs.len());
    let _ = etcd::read::<Done>(status, body).map(Done::told);
    if let Err(fault) = etcd::line::<Watched>(body) {
        assert!(!fault.to_string().chars().any(char::is_control));
    }
    if let Some(node) = NodeValue::read(body) {
        if Identity::new(&node.name, &node.origin, &node.version).is_ok() {
            let value = topology::node_value(&node.name, &node.origin, &node.version);
            assert_eq!(NodeValue::read(value.as_bytes()), Some(node));
        }
    }
    if let Some(pids) = topology::read_job(body) {
        let value = topology::job_value(pids.iter().copied());
        assert_eq!(topology::read_job(value.as_bytes()), Some(pids));
    }
}
