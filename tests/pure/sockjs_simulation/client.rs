//! One client: how it receives and sends, and what it checks.

use gaffer::base::ids::ConnId;

use super::stream::{Got, Stream};

/// How a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Xhr,
    Jsonp,
    XhrStreaming,
    EventSource,
    HtmlFile,
    Socket,
    Raw,
}

impl Way {
    pub(super) const ALL: [Self; 7] = [
        Self::Xhr,
        Self::Jsonp,
        Self::XhrStreaming,
        Self::EventSource,
        Self::HtmlFile,
        Self::Socket,
        Self::Raw,
    ];

    pub(super) fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::Raw)
    }
}

/// A connection of a client.
#[derive(Default)]
pub(super) struct Line {
    pub(super) conn: Option<ConnId>,
    pub(super) stream: Stream,
    /// A request awaits its answer, or the answer goes on.
    pub(super) busy: bool,
    pub(super) stalled: bool,
}

/// A client.
pub(super) struct Client {
    pub(super) name: String,
    pub(super) way: Way,
    pub(super) receiver: Line,
    pub(super) sender: Line,
    /// Messages sent since this session began.
    pub(super) sent: u64,
    /// Which session of its name this is.
    pub(super) epoch: u64,
    pub(super) is_open: bool,
    /// What has to come next; nobody knows behind an answer that was lost.
    next_reply: Option<u64>,
    next_published: Option<u64>,
    /// Messages that came, heartbeats, gaps that were told, ends.
    pub(super) seen: [u64; 4],
    prelude: bool,
}

impl Client {
    pub(super) fn new(name: String, way: Way) -> Self {
        Self {
            name,
            way,
            receiver: Line::default(),
            sender: Line::default(),
            sent: 0,
            epoch: 0,
            is_open: false,
            next_reply: None,
            next_published: None,
            seen: [0; 4],
            prelude: false,
        }
    }

    /// The request by which it receives.
    pub(super) fn receive_request(&self) -> String {
        let name = &self.name;
        let get = |what: &str| format!("GET /s/0/{name}/{what} HTTP/1.1\r\nHost: h\r\n\r\n");
        let post = |what: &str| {
            format!("POST /s/0/{name}/{what} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        };
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        match self.way {
            Way::Xhr => post("xhr"),
            Way::Jsonp => get("jsonp?c=f"),
            Way::XhrStreaming => post("xhr_streaming"),
            Way::EventSource => get("eventsource"),
            Way::HtmlFile => get("htmlfile?c=f"),
            Way::Socket => {
                format!("GET /s/0/{name}/websocket HTTP/1.1\r\nHost: h\r\n{upgrade}")
            }
            Way::Raw => format!("GET /s/websocket HTTP/1.1\r\nHost: h\r\n{upgrade}"),
        }
    }

    /// The next messages, as their transport sends them.
    pub(super) fn messages(&mut self, count: u64) -> Vec<String> {
        let first = self.sent;
        self.sent += count;
        (first..self.sent).map(|number| format!("{}.{number}", self.epoch)).collect()
    }

    /// The connection is gone. What was on its way is lost, and perhaps the session with it; one
    /// without a request or an answer on its way goes on.
    pub(super) fn begin_anew(&mut self) {
        if self.receiver.busy || self.way.is_socket() {
            self.is_open = false;
            self.next_reply = None;
            self.next_published = None;
        }
        self.prelude = false;
        self.receiver = Line::default();
    }

    /// Takes what the receiver got.
    pub(super) fn take_received(&mut self) {
        while let Some(got) = self.receiver.stream.next() {
            match got {
                Got::Answer(200, body) => {
                    self.receiver.busy = false;
                    let frame = self.unwrapped(&body);
                    self.frame(&frame);
                }
                Got::Answer(status, body) => {
                    self.receiver.busy = false;
                    assert_eq!(status, 503, "{body}");
                }
                Got::Switched => {
                    self.prelude = false;
                    if self.way == Way::Raw {
                        self.opened();
                    }
                }
                Got::Piece(piece) if !self.prelude => {
                    assert!(piece.len() == 2 || piece.len() > 1024, "{piece:?} is no prelude");
                    self.prelude = true;
                }
                Got::Piece(piece) => {
                    let frame = self.unwrapped(&piece);
                    self.frame(&frame);
                }
                Got::End => {
                    self.prelude = false;
                    self.receiver.busy = false;
                }
                Got::Text(text) if self.way == Way::Raw => self.message(&text),
                Got::Text(text) => self.frame(&text),
                Got::Close => {
                    self.is_open = false;
                    self.seen[3] += 1;
                }
            }
        }
    }

    fn unwrapped(&self, text: &str) -> String {
        let script = |text: &str| serde_json::from_str::<String>(text).expect("a string");
        let inner = match self.way {
            Way::Xhr | Way::XhrStreaming => text.strip_suffix('\n').map(str::to_owned),
            Way::EventSource => text
                .strip_prefix("data: ")
                .and_then(|text| text.strip_suffix("\r\n\r\n"))
                .map(str::to_owned),
            Way::HtmlFile => text
                .strip_prefix("<script>\np(")
                .and_then(|text| text.strip_suffix(");\n</script>\r\n"))
                .map(script),
            Way::Jsonp => {
                text.strip_prefix("/**/f(").and_then(|text| text.strip_suffix(");\r\n")).map(script)
            }
            Way::Socket | Way::Raw => None,
        };
        inner.unwrap_or_else(|| panic!("{text:?} has not the envelope of {:?}", self.way))
    }

    fn opened(&mut self) {
        self.is_open = true;
        self.epoch += 1;
        self.sent = 0;
        self.next_reply = Some(0);
        self.next_published = Some(0);
    }

    fn frame(&mut self, frame: &str) {
        let (kind, rest) = frame.split_at(1);
        match kind {
            "o" => {
                assert!(rest.is_empty(), "{frame}");
                self.opened();
            }
            "h" => {
                assert!(rest.is_empty(), "{frame}");
                assert!(self.is_open || self.next_reply.is_none(), "a heartbeat behind the end");
                self.seen[1] += 1;
            }
            "a" => {
                assert!(self.is_open || self.next_reply.is_none(), "{frame} behind the end");
                self.is_open = true;
                let messages: Vec<String> = serde_json::from_str(rest).expect("messages");
                assert!(!messages.is_empty());
                for message in messages {
                    self.message(&message);
                }
            }
            "c" => {
                let (code, _): (u16, String) = serde_json::from_str(rest).expect("an end");
                // The one who was there first stays open.
                if code != 2010 {
                    self.is_open = false;
                    self.seen[3] += 1;
                }
            }
            other => panic!("{other} is no frame"),
        }
    }

    /// `r3` is a reply, `p3 …` published, `lost 3` a gap.
    fn message(&mut self, message: &str) {
        self.seen[0] += 1;
        if let Some(lost) = message.strip_prefix("lost ") {
            let lost: u64 = lost.parse().expect("a number");
            self.next_published = self.next_published.map(|next| next + lost);
            self.seen[2] += 1;
            return;
        }
        let (kind, rest) = message.split_at(1);
        let number: u64 = rest.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        let next = match kind {
            "r" => &mut self.next_reply,
            "p" => &mut self.next_published,
            other => panic!("{other}: nobody says that"),
        };
        assert_eq!(number, next.unwrap_or(number), "{kind} of {:?} is out of order", self.name);
        *next = Some(number + 1);
    }
}
