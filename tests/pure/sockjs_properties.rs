//! Properties of what `SockJS` clients send and get, over all texts.

use proptest::prelude::*;

use gaffer::wire::sockjs::{read_body, read_text};

use crate::fuzz_corpus::harness::sockjs::{check_frame, sockjs};

/// A text as scripts have it: 16-bit units, of which some pair up and some do not.
fn script_text() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![any::<u16>(), 0xd800_u16..0xe000, 0_u16..0x80, 0x2000_u16..0x2070];
    prop::collection::vec(unit, 0..20)
}

proptest! {
    #[test]
    fn any_messages_come_out_of_their_frame(messages in prop::collection::vec(any::<String>(), 0..5)) {
        check_frame(&messages);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        sockjs(&bytes);
    }

    #[test]
    fn any_bytes_like_messages_are_read_or_refused(text in r#"[\[\]", \\ud8-f0-9\n%+=a]{0,30}"#) {
        sockjs(text.as_bytes());
    }

    #[test]
    fn halves_of_pairs_alone_are_replaced(units in script_text()) {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let text = String::from_utf16_lossy(&units);
        prop_assert_eq!(read_text(&format!("\"{escaped}\"")), Ok(vec![text.clone()]));
        prop_assert_eq!(read_body(format!("[\"{escaped}\"]").as_bytes()), Ok(vec![text]));
    }
}
