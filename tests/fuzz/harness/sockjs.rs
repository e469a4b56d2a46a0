//! Any bytes as what a `SockJS` client sends: what is read is the same by every way in, and comes out
//! again as it went in.

#![allow(
    unreachable_pub,
    reason = "the fuzz targets are another crate, the tests include this file"
)]

use gaffer::wire::http::Headers;
use gaffer::wire::sockjs::{read_body, read_form, read_text, BadPayload, Messages};
use gaffer::wire::ws::Heard;
use gaffer::wire::ws76::{Keys, OldSocket};

const FORM: &str = "application/x-www-form-urlencoded";

/// The fuzz target.
pub fn sockjs(data: &[u8]) {
    let read = read_body(data);
    let encoded: String = data.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(read_form(format!("a=b&d={encoded}").as_bytes(), FORM), read, "by a form");
    assert_eq!(read_form(data, "text/plain"), read, "by a plain form");
    // As it is, a form's value means something else, but is read all the same.
    drop(read_form(data, FORM));
    if let Ok(text) = std::str::from_utf8(data) {
        match (read_text(text), &read) {
            (Ok(messages), Err(BadPayload::Missing)) => assert!(messages.is_empty()),
            (Ok(messages), Err(BadPayload::Broken)) => assert_eq!(messages.len(), 1, "one string"),
            (by_text, by_body) => assert_eq!(&by_text, by_body, "by a websocket"),
        }
        check_frame(&[text.to_owned()]);
    }
    if let Ok(messages) = read {
        check_frame(&messages);
    }
    old_socket(data);
}

/// Messages come out of their frame as they went in, and it holds nothing that browsers change.
pub fn check_frame(messages: &[String]) {
    let mut frame = Messages::default();
    for message in messages {
        frame.push(message);
    }
    if messages.is_empty() {
        return assert!(frame.is_empty());
    }
    let frame = frame.finish();
    let json = frame.strip_prefix('a').expect("a frame of messages");
    assert_eq!(serde_json::from_str::<Vec<String>>(json).expect("JSON"), messages);
    assert_eq!(read_body(json.as_bytes()).as_deref(), Ok(messages), "what we write, we read");
    let changed = |c: char| {
        matches!(u32::from(c), 0..=0x1f | 0x200c..=0x200f | 0x2028..=0x202f | 0x2060..=0x206f
            | 0xfff0..)
    };
    assert!(!frame.contains(changed), "{frame:?}");
}

/// The websockets of before the standard say the same however their bytes are cut.
fn old_socket(data: &[u8]) {
    let whole = hear(data, data.len().max(1));
    assert_eq!(hear(data, 1), whole);
    assert_eq!(hear(data, 3), whole);
}

fn hear(data: &[u8], piece: usize) -> (Vec<Heard>, Vec<u8>) {
    let mut headers = Headers::default();
    headers.push("Sec-WebSocket-Key1", "1 0");
    headers.push("Sec-WebSocket-Key2", "2 0");
    let mut socket = OldSocket::server(Keys::of(&headers).expect("keys"), 20);
    let (mut input, mut out, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for bytes in data.chunks(piece) {
        input.extend_from_slice(bytes);
        while let Some(heard) = socket.hear(&mut input, &mut out) {
            all.push(heard);
            if socket.is_closing() {
                return (all, out);
            }
        }
    }
    (all, out)
}
