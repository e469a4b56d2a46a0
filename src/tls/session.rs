//! One connection over TLS, without its socket: bytes of the wire in, what was said out, and back.
//!
//! It holds as little as it can. All that comes is deciphered at once and handed on, so nothing that was
//! said is ever left in it. What is to be sent is taken piece by piece, and none before the kernel has
//! all of the one before: so no more than a piece is ever held enciphered, and whoever owes it counts a
//! piece as sent when the kernel has it, as without TLS.

use std::io::{self, BufRead as _, Write};

use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::{Connection, Error};

use super::connector::told;
use super::{Digest, Fault, Heard};
use crate::base::limits;

/// One connection.
pub struct Session {
    /// Large, and rare.
    tls: Box<Connection>,
    /// Whether the handshake is over.
    open: bool,
    /// Whether anything has come.
    begun: bool,
    /// Whether the other end has said that it sends no more.
    ended: bool,
    /// Bytes of what is owed that are enciphered, and that the kernel has not all taken yet.
    handed: usize,
    /// What has come of the handshake.
    shaken: usize,
}

impl Session {
    pub(super) fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(Some(limits::TLS_PIECE));
        Self { tls: Box::new(tls), open: false, begun: false, ended: false, handed: 0, shaken: 0 }
    }

    /// Whether the handshake is over, and what is owed may be sent.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the other end has said that it sends no more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes bytes of the wire, and tells what they mean, in order.
    ///
    /// # Errors
    /// It cannot go on. What is then to be said to the other end is for [`Session::flush`].
    pub fn receive(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Fault> {
        let began = std::mem::replace(&mut self.begun, true);
        // Records of TLS begin with a small number, and requests with a letter.
        if !began && bytes.first().is_some_and(u8::is_ascii_uppercase) && !self.is_client() {
            return Err(Fault::ClearText);
        }
        let broken = |error: Error| Fault::Broken(told(&error));
        let mut rest = bytes;
        while !rest.is_empty() && !self.ended {
            let taken = self.tls.read_tls(&mut rest);
            let taken = taken.map_err(|error| Fault::Broken(error.to_string()))?;
            let state = self.tls.process_new_packets().map_err(broken)?;
            if !self.open && !self.tls.is_handshaking() {
                self.open = true;
                tell(Heard::Open(self.shown()));
            }
            self.shaken += if self.open { 0 } else { taken };
            if self.shaken > limits::TLS_HANDSHAKE && !self.is_client() {
                return Err(Fault::Broken("its handshake is too long".to_owned()));
            }
            self.ended = state.peer_has_closed();
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.tls.reader();
            while left > 0 {
                let said = reader.fill_buf().map_err(|error| Fault::Broken(error.to_string()))?;
                let count = said.len();
                tell(Heard::Said(said));
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
        }
        Ok(())
    }

    /// Sends of what is owed; gives how much of it the kernel has taken, which may be what earlier calls
    /// could not send whole: it has to be owed still. WouldBlock as a socket gives it.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn write(&mut self, owed: &[u8], socket: &mut impl Write) -> io::Result<usize> {
        if self.handed == 0 {
            if !self.flush(socket)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let piece = owed.get(..limits::TLS_PIECE).unwrap_or(owed);
            self.handed = self.tls.writer().write(piece)?;
        }
        if !self.flush(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(std::mem::take(&mut self.handed))
    }

    /// Sends what is enciphered already, or is of the handshake; gives whether the kernel took all.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will be sent, with the next flush.
    pub fn end(&mut self) {
        self.tls.send_close_notify();
    }

    fn is_client(&self) -> bool {
        matches!(*self.tls, Connection::Client(_))
    }

    /// The digest of the certificate that the other end has shown.
    fn shown(&self) -> Option<Digest> {
        let certificate = self.tls.peer_certificates()?.first()?;
        let hash = TLS13_AES_128_GCM_SHA256.tls13()?.common.hash_provider.hash(certificate);
        hash.as_ref().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acceptor, Connector, Pem, Served, Trusted};
    use super::*;
    use std::time::UNIX_EPOCH;

    fn pem(name: &str, text: &str) -> Pem {
        Pem { path: name.into(), bytes: text.as_bytes().to_vec() }
    }

    /// A server and a client who trusts it; with a certificate if the server asks for one.
    fn pair(asks: bool) -> (Session, Session) {
        let certificate = |name| match name {
            "node" => pem(name, include_str!("../../tests/tls/node.pem")),
            "client" => pem(name, include_str!("../../tests/tls/client.pem")),
            _ => pem(name, include_str!("../../tests/tls/authority.pem")),
        };
        let key = pem("key", include_str!("../../tests/tls/node.key"));
        let clients = asks.then(|| (certificate("authority"), super::super::Demand::Required));
        let served = Served { certificate: certificate("node"), key, clients };
        let acceptor = Acceptor::new(&served, UNIX_EPOCH, &mut Vec::new()).expect("a pair");
        let own = pem("key", include_str!("../../tests/tls/client.key"));
        let identity = asks.then(|| (certificate("client"), own));
        let trusted = Trusted { authorities: certificate("authority"), identity };
        let connector = Connector::new(&trusted).expect("an authority");
        let client = connector.session("localhost").expect("a name");
        (acceptor.session().expect("a session"), client)
    }

    #[test]
    fn a_client_may_not_have_much_held_before_its_handshake_is_over() {
        let (mut server, _) = pair(true);
        // The beginning of a handshake message of 60,000 bytes, in a record of 16 KiB.
        let mut message = vec![1, 0, 0xea, 0x60, 3, 3];
        message.resize(limits::TLS_HANDSHAKE, 0);
        let record = |part: &[u8]| {
            let length = u16::try_from(part.len()).expect("a record's length").to_be_bytes();
            [&[22, 3, 1], &length[..], part].concat()
        };
        let (first, last) = message.split_at(limits::TLS_HANDSHAKE - 100);
        let mut bytes = record(first);
        bytes.extend(record(&last[..90]));
        assert_eq!(bytes.len(), limits::TLS_HANDSHAKE);
        let mut nothing = |_: Heard<'_>| panic!("nothing is said");
        assert!(server.receive(&bytes, &mut nothing).is_ok());
        assert!(server.receive(&record(b"x"), &mut nothing).is_err());
    }

    /// What one session sends until it has nothing more, or nothing more is taken.
    #[derive(Default)]
    struct Wire {
        bytes: Vec<u8>,
        /// How much is still taken, if not all is.
        room: Option<usize>,
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.room.unwrap_or(usize::MAX).min(bytes.len());
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room = self.room.map(|room| room - count);
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What came, and the certificates that were shown.
    #[derive(Default)]
    struct Told {
        said: Vec<u8>,
        opened: Vec<Option<Digest>>,
    }

    /// Brings what `from` has to say to `to`, in pieces of this size.
    fn carry(
        from: &mut Session,
        to: &mut Session,
        size: usize,
        told: &mut Told,
    ) -> Result<(), Fault> {
        let mut wire = Wire::default();
        assert!(from.flush(&mut wire).expect("it is taken"));
        hear(to, &wire.bytes, size, told)
    }

    fn hear(to: &mut Session, bytes: &[u8], size: usize, told: &mut Told) -> Result<(), Fault> {
        for piece in bytes.chunks(size) {
            to.receive(piece, &mut |heard| match heard {
                Heard::Open(digest) => told.opened.push(digest),
                Heard::Said(bytes) => told.said.extend_from_slice(bytes),
            })?;
        }
        Ok(())
    }

    /// Both with their handshake behind them.
    fn open(asks: bool, size: usize) -> (Session, Session, Option<Digest>) {
        let (mut server, mut client) = pair(asks);
        let (mut at_server, mut at_client) = (Told::default(), Told::default());
        for _ in 0..3 {
            carry(&mut client, &mut server, size, &mut at_server).expect("TLS");
            carry(&mut server, &mut client, size, &mut at_client).expect("TLS");
        }
        assert!(server.is_open() && client.is_open());
        assert_eq!((at_server.opened.len(), at_client.opened.len()), (1, 1), "it is told once");
        (server, client, at_server.opened[0])
    }

    #[test]
    fn however_bytes_are_cut_what_was_said_comes_whole() {
        for size in [1, 7, 5_000, usize::MAX] {
            let (mut server, mut client, digest) = open(false, size);
            assert_eq!(digest, None);
            let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
            let (mut wire, mut left) = (Wire::default(), sent.as_slice());
            while !left.is_empty() {
                let count = server.write(left, &mut wire).expect("it is taken");
                assert!(count <= limits::TLS_PIECE);
                left = &left[count..];
            }
            let mut told = Told::default();
            hear(&mut client, &wire.bytes, size, &mut told).expect("TLS");
            assert!(told.said == sent, "in pieces of {size}");
            assert!(!client.has_ended());
            server.end();
            carry(&mut server, &mut client, size, &mut told).expect("TLS");
            assert!(client.has_ended() && !server.has_ended());
        }
    }

    #[test]
    fn what_the_kernel_has_in_part_is_not_sent_and_nothing_more_is_held() {
        let (mut server, mut client, _) = open(false, usize::MAX);
        let owed: Vec<u8> = (0..limits::TLS_PIECE + 1).map(|n| n.to_le_bytes()[0]).collect();
        let mut wire = Wire { room: Some(100), ..Wire::default() };
        for _ in 0..3 {
            let refused = server.write(&owed, &mut wire).expect_err("there is no room");
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        }
        assert_eq!(wire.bytes.len(), 100);
        wire.room = None;
        // More may be owed by now, and it counts what it had.
        let count = server.write(&[&owed[..], b"more"].concat(), &mut wire).expect("room");
        assert_eq!(count, limits::TLS_PIECE);
        assert!(wire.bytes.len() < limits::TLS_PIECE + 200, "no more was taken than one piece");
        let mut told = Told::default();
        hear(&mut client, &wire.bytes, usize::MAX, &mut told).expect("TLS");
        assert!(told.said == owed[..limits::TLS_PIECE]);
        assert_eq!(server.write(&owed[limits::TLS_PIECE..], &mut wire).expect("room"), 1);
    }

    #[test]
    fn a_certificate_that_was_shown_is_known_by_its_digest() {
        let (_, _, digest) = open(true, usize::MAX);
        // openssl x509 -in client.pem -outform DER | sha256sum
        let hex: String = digest.expect("shown").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/tls/client.sha256").trim());
    }

    #[test]
    fn junk_and_clear_text_are_told_from_each_other() {
        let mut told = Told::default();
        let mut faults = |bytes: &[u8]| hear(&mut pair(false).0, bytes, usize::MAX, &mut told);
        assert_eq!(faults(b"GET / HTTP/1.1\r\n"), Err(Fault::ClearText));
        assert!(matches!(faults(&[0; 20]), Err(Fault::Broken(_))));
        assert!(matches!(faults(b"\x16\x03\x01\x00\x05hello"), Err(Fault::Broken(_))));
        assert_eq!(faults(b"\x16\x03\x01"), Ok(()), "it may go on");
        assert_eq!((told.said.len(), told.opened.len()), (0, 0));
        // Behind a handshake the same letter is nothing but broken.
        let (mut server, ..) = open(false, usize::MAX);
        let fault = hear(&mut server, b"GET / HTTP/1.1\r\n", usize::MAX, &mut told);
        assert!(matches!(fault, Err(Fault::Broken(_))), "{fault:?}");
    }
}
