//! Websockets of before the standard (draft-ietf-hybi-thewebsocketprotocol-00, called hixie-76), over
//! memory. Old browsers speak it, and proxies let it pass in a peculiar order: our response goes out
//! before the last eight bytes of the request come. It has texts and a close, and nothing else: no
//! pings, no codes, no binary messages.

use super::http::Headers;
use super::ws::Heard;

/// The two numbers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys(u32, u32);

impl Keys {
    /// Reads them, if this is such a request and no other. `None` as well if they are malformed.
    pub fn of(headers: &Headers) -> Option<Self> {
        if headers.get("sec-websocket-version").is_some() {
            return None;
        }
        let number = |name| headers.get(name).and_then(number);
        Some(Self(number("sec-websocket-key1")?, number("sec-websocket-key2")?))
    }

    /// The answer, with the eight bytes that follow the request (section 1.3 there).
    pub fn answer(self, nonce: [u8; 8]) -> [u8; 16] {
        let mut challenge = [0; 16];
        challenge[..4].copy_from_slice(&self.0.to_be_bytes());
        challenge[4..8].copy_from_slice(&self.1.to_be_bytes());
        challenge[8..].copy_from_slice(&nonce);
        md5(challenge)
    }
}

/// Its digits, divided by how many spaces it has.
fn number(key: &str) -> Option<u32> {
    let digits: String = key.chars().filter(char::is_ascii_digit).collect();
    let spaces = u64::try_from(key.bytes().filter(|b| *b == b' ').count()).ok()?;
    let number: u64 = digits.parse().ok()?;
    if spaces == 0 || number % spaces != 0 {
        return None;
    }
    u32::try_from(number / spaces).ok()
}

/// One conversation, from its response on.
pub struct OldSocket {
    /// Until the last bytes of the request have come.
    keys: Option<Keys>,
    /// What was said until then.
    held: Vec<u8>,
    longest: usize,
    closing: bool,
}

const BEGIN: u8 = 0;
const END: u8 = 0xff;

impl OldSocket {
    /// The server's end, which takes texts of at most `longest` bytes.
    pub fn server(keys: Keys, longest: usize) -> Self {
        Self { keys: Some(keys), held: Vec::new(), longest, closing: false }
    }

    /// Whether the handshake is over.
    pub fn is_ready(&self) -> bool {
        self.keys.is_none()
    }

    /// Takes the next thing the peer said out of `input`; what is owed for it goes to `out`.
    pub fn hear(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Heard> {
        if let Some(keys) = self.keys {
            let nonce: [u8; 8] = input.get(..8)?.try_into().ok()?;
            input.drain(..8);
            self.keys = None;
            out.extend_from_slice(&keys.answer(nonce));
            out.append(&mut self.held);
            return Some(Heard::Sign);
        }
        match *input.first()? {
            BEGIN => {
                let Some(end) = input.iter().position(|byte| *byte == END) else {
                    return (input.len() > self.longest + 1).then(|| self.end(input, out));
                };
                if end > self.longest + 1 {
                    return Some(self.end(input, out));
                }
                let text = String::from_utf8_lossy(&input[1..end]).into_owned();
                input.drain(..=end);
                Some(Heard::Text(text))
            }
            END if input.get(1) == Some(&0) => {
                self.end(input, out);
                Some(Heard::Close)
            }
            END if input.len() == 1 => None,
            _ => Some(self.end(input, out)),
        }
    }

    fn end(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Heard {
        input.clear();
        self.close(out);
        Heard::Over
    }

    /// Says a text that lies in pieces.
    pub fn text_of(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) {
        if self.closing {
            return;
        }
        let out = if self.keys.is_some() { &mut self.held } else { out };
        out.push(BEGIN);
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        out.push(END);
    }

    /// Closes. Nothing is said after it.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if !self.closing && self.keys.is_none() {
            out.extend_from_slice(&[END, 0]);
        }
        self.closing = true;
    }

    /// Whether nothing may be said any more.
    pub fn is_closing(&self) -> bool {
        self.closing
    }
}

/// MD5 of exactly one block's worth of challenge (RFC 1321): all that is ever asked of it here. It
/// proves that a peer speaks this protocol, and nothing else.
fn md5(challenge: [u8; 16]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut block = [0; 64];
    block[..16].copy_from_slice(&challenge);
    block[16] = 0x80;
    block[56] = 128;
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| block[at * 4 + byte]));
    let start = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let [mut a, mut b, mut c, mut d] = start;
    let mut sine = SINES.iter();
    for step in 0..64 {
        let (mixed, at) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let sum = a.wrapping_add(mixed).wrapping_add(word(at % 16));
        let sum = sum.wrapping_add(sine.next().copied().unwrap_or_default());
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
    }
    let mut digest = [0; 16];
    for (place, (from, add)) in digest.chunks_mut(4).zip(start.iter().zip([a, b, c, d])) {
        place.copy_from_slice(&from.wrapping_add(add).to_le_bytes());
    }
    digest
}

/// The integer part of 2³² · |sin(step + 1)|.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(first: &str, second: &str) -> Option<Keys> {
        let mut headers = Headers::default();
        headers.push("Sec-WebSocket-Key1", first);
        headers.push("Sec-WebSocket-Key2", second);
        Keys::of(&headers)
    }

    fn ready() -> OldSocket {
        let mut socket = OldSocket::server(Keys(1, 2), 10);
        let mut out = Vec::new();
        assert_eq!(socket.hear(&mut b"12345678".to_vec(), &mut out), Some(Heard::Sign));
        assert_eq!(out.len(), 16);
        socket
    }

    #[test]
    fn the_challenge_of_the_draft_has_its_answer() {
        let keys =
            keys("18x 6]8vM;54 *(5:  {   U1]8  z [  8", "1_ tx7X d  <  nw  334J702) 7]o}` 0");
        assert_eq!(keys, Some(Keys(155_712_099, 173_347_027)));
        let answer = keys.map(|keys| keys.answer(*b"Tm[K T2u"));
        assert_eq!(answer.as_ref().map(|a| &a[..]), Some(&b"fQJ,fN/4F4!~K~MH"[..]));
        assert_eq!(md5(*b"0123456789abcdef")[..4], [0x40, 0x32, 0xaf, 0x8d]);
    }

    #[test]
    fn malformed_keys_are_none() {
        assert!(keys("1 0", "2 0").is_some());
        for bad in ["12", " x", "5 0 1", "99999999999 9", "99999999999999999999999 9"] {
            assert_eq!(keys(bad, "2 0"), None, "{bad}");
            assert_eq!(keys("2 0", bad), None, "{bad}");
        }
        let mut headers = Headers::default();
        headers.push("Sec-WebSocket-Key1", "1 0");
        headers.push("Sec-WebSocket-Key2", "1 0");
        headers.push("Sec-WebSocket-Version", "13");
        assert_eq!(Keys::of(&headers), None, "it speaks the standard");
    }

    #[test]
    fn what_is_said_early_follows_the_handshake() {
        let mut socket = OldSocket::server(Keys(1, 2), 10);
        let mut out = Vec::new();
        socket.text_of(&[b"o"], &mut out);
        let mut input = b"1234567".to_vec();
        assert_eq!(socket.hear(&mut input, &mut out), None);
        assert!(out.is_empty() && !socket.is_ready());
        input.push(b'8');
        assert_eq!(socket.hear(&mut input, &mut out), Some(Heard::Sign));
        assert_eq!(out[16..], [0, b'o', 255]);
        assert!(input.is_empty() && socket.is_ready());
    }

    #[test]
    fn texts_come_out_however_they_are_cut() {
        let mut socket = ready();
        let (mut input, mut out) = (Vec::new(), Vec::new());
        let mut heard = Vec::new();
        for byte in "\0a\u{e9}\u{0}b".bytes().take(4).chain(*b"\xff\0\xff") {
            input.push(byte);
            heard.extend(socket.hear(&mut input, &mut out));
        }
        assert_eq!(heard, [Heard::Text("aé".into()), Heard::Text(String::new())]);
        input.extend([255, 0]);
        assert_eq!(socket.hear(&mut input, &mut out), Some(Heard::Close));
        assert_eq!(out, [255, 0]);
        socket.text_of(&[b"no more"], &mut out);
        assert_eq!(out, [255, 0]);
    }

    #[test]
    fn what_is_too_long_or_no_text_ends_it() {
        let longest = [&[0][..], &[b'x'; 10], &[255]].concat();
        let text = ready().hear(&mut longest.clone(), &mut Vec::new());
        assert_eq!(text, Some(Heard::Text("x".repeat(10))));
        for bad in [
            [&[0][..], &[b'x'; 11], &[255]].concat(),
            [&[0][..], &[b'x'; 11]].concat(),
            vec![0x80, 1, b'x'],
            vec![255, 1],
        ] {
            let (mut socket, mut out) = (ready(), Vec::new());
            assert_eq!(socket.hear(&mut bad.clone(), &mut out), Some(Heard::Over), "{bad:?}");
            assert_eq!(out, [255, 0]);
        }
    }
}
