//! Websockets, messages, frames and topics under any bytes and any cut, and what is written by the
//! rules reads back.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value};

use gaffer::node::topics;
use gaffer::wire::channel::{self, Command, Message, Subscription};
use gaffer::wire::frame::{self, Frame, Kind};
use gaffer::wire::ws::Heard;

use crate::fuzz_corpus::harness::live::{self, talk};
use crate::ws_client;

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

/// A message, and the lengths of the pieces in which it is sent.
fn messages() -> impl Strategy<Value = Vec<(Heard, Vec<usize>)>> {
    let text = "[a-zé€😀\\n]{0,60}".prop_map(Heard::Text);
    let binary = prop::collection::vec(any::<u8>(), 0..200).prop_map(Heard::Binary);
    let pieces = prop::collection::vec(0..40usize, 0..4);
    prop::collection::vec((prop_oneof![text, binary], pieces), 0..6)
}

/// Messages of the channel.
fn channel_messages() -> impl Strategy<Value = Message> {
    let text = || "[ -~é😀\\n]{0,20}";
    let millis = prop::option::of(0..4_000_000u64);
    let value = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(text(), 0..3).prop_map(Value::from),
    ];
    let values = prop::collection::vec(value.clone(), 0..4);
    let named = prop::collection::btree_map(text(), value, 0..3);
    prop_oneof![
        Just(Message::Nop),
        text().prop_map(Message::Unsubscribe),
        (text(), millis, any::<Option<u64>>()).prop_map(|(topic, millis, since)| {
            let interval = millis.map(Duration::from_millis);
            Message::Subscribe(Subscription { topic, interval, since })
        }),
        (text(), any::<u64>(), values, named).prop_map(|(name, number, args, named)| {
            let (identity, kwargs) = (Value::from(number), Map::from_iter(named));
            Message::Command(Command { identity, name, args, kwargs })
        }),
    ]
}

/// The frames of a message, with a ping between each two of them.
fn frames(message: &Heard, pieces: &[usize]) -> Vec<u8> {
    let (opcode, payload): (u8, &[u8]) = match message {
        Heard::Text(text) => (ws_client::TEXT, text.as_bytes()),
        Heard::Binary(bytes) => (ws_client::BINARY, bytes),
        Heard::Sign | Heard::Close | Heard::Over => panic!("no message"),
    };
    let (mut bytes, mut rest, mut opcode) = (Vec::new(), payload, opcode);
    for piece in pieces {
        let (piece, after) = rest.split_at((*piece).min(rest.len()));
        rest = after;
        bytes.extend(ws_client::fragment(opcode, piece));
        bytes.extend(ws_client::frame(ws_client::PING, b"p"));
        opcode = 0;
    }
    bytes.extend(ws_client::fragment(0x80 | opcode, rest));
    bytes
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn messages_on_websockets_come_out_as_they_were(
        messages in messages(),
        cuts in prop::collection::vec(1..50usize, 1..9),
    ) {
        let all: Vec<Vec<u8>> =
            messages.iter().map(|(message, pieces)| frames(message, pieces)).collect();
        let mut sizes = cuts.iter().copied().cycle();
        let heard = talk(&all.concat(), || sizes.next().unwrap_or(1));
        let pings: usize = messages.iter().map(|(_, pieces)| pieces.len()).sum();
        prop_assert_eq!(heard.out, [0x8a, 1, b'p'].repeat(pings));
        let said: Vec<Heard> = messages.into_iter().map(|(message, _)| message).collect();
        let heard: Vec<Heard> =
            heard.heard.into_iter().filter(|heard| *heard != Heard::Sign).collect();
        prop_assert_eq!(heard, said);
        live::websocket(&all.concat());
    }

    #[test]
    fn frames_with_a_wrong_byte_never_break_a_websocket(
        messages in messages(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut data: Vec<u8> =
            messages.iter().flat_map(|(message, pieces)| frames(message, pieces)).collect();
        for (place, byte) in changes {
            if !data.is_empty() {
                let at = place.index(data.len());
                data[at] = byte;
            }
        }
        live::websocket(&data);
    }

    #[test]
    fn arbitrary_bytes_never_break_a_reader(
        data in prop::collection::vec(any::<u8>(), 0..100),
        text in "[A-Za-z0-9:./ {}\"\\[\\],]{0,60}",
    ) {
        for bytes in [&data[..], text.as_bytes()] {
            live::websocket(bytes);
            live::message(bytes);
            live::frame(bytes);
        }
    }

    #[test]
    fn messages_that_are_nearly_right_never_break_the_channel(
        event in prop::sample::select(vec!["NOP", "SUB", "UNSUB", "CMD", "sub", ""]),
        topic in "(EVENTS|Job|STATS|stream|PROCESS)?:?[a-zA-Z0-9./ é]{0,20}",
        interval in prop_oneof![Just("null".to_owned()), any::<f64>().prop_map(|f| f.to_string())],
        since in prop_oneof![any::<u64>().prop_map(|n| n.to_string()), Just("\"1\"".to_owned())],
        identity in prop::sample::select(vec!["1", "\"a\"", "null", "[]", "-1.5"]),
    ) {
        let topic = Value::from(topic).to_string();
        let text = format!(
            "{{\"event\": \"{event}\", \"data\": {{\"topic\": {topic}, \"interval\": {interval}, \
             \"since\": {since}, \"identity\": {identity}, \"name\": {topic}, \"args\": [{topic}]}}}}"
        );
        live::message(text.as_bytes());
    }

    #[test]
    fn messages_are_read_as_they_were_written(message in channel_messages()) {
        let written = live::render(&message);
        prop_assert_eq!(channel::parse(&written), Ok(message));
    }

    #[test]
    fn frames_of_a_process_read_back(
        id in "[!-~é]{1,60}",
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = frame::encode(Kind::Message, &id, &body);
        prop_assert_eq!(frame::parse(&bytes), Ok(Frame { id: &id, body: &body }));
        live::frame(&bytes);
    }

    #[test]
    fn topics_follow_exactly_what_lies_below_them(
        parts in prop::collection::vec("[a-z]{1,3}", 1..5),
        asked in prop::collection::vec("[a-z]{1,3}", 1..5),
    ) {
        let (name, prefix) = (parts.join("."), asked.join("."));
        let below = asked.len() <= parts.len() && parts[..asked.len()] == asked[..];
        prop_assert_eq!(topics::has_prefix(&name, &prefix), below);
        for length in 0..=parts.len() {
            prop_assert!(topics::has_prefix(&name, &parts[..length].join(".")));
        }
        live::message(format!("EVENTS:{prefix}").as_bytes());
    }
}
