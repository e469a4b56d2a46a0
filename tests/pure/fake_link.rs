//! The far end of a link of the node, spoken by hand: what the node says there comes out in words.

use gaffer::base::ids::LinkId;
use gaffer::base::limits;
use gaffer::wire::ws::{accept_of, Heard, WebSocket};

use crate::driven::Driven as _;
use crate::fake_node::FakeNode;

/// What a lookupd hears and says on one link.
pub(crate) struct End {
    pub(crate) link: LinkId,
    ws: Option<WebSocket>,
    input: Vec<u8>,
}

impl End {
    /// The end of this link, which is still to be opened.
    pub(crate) fn new(link: LinkId) -> Self {
        Self { link, ws: None, input: Vec::new() }
    }

    /// The end of the link that was dialled last, which has to be one.
    pub(crate) fn dialled(node: &mut FakeNode) -> Self {
        let mut dialled = std::mem::take(&mut node.dialled);
        assert_eq!(dialled.len(), 1, "{dialled:?}");
        Self::new(dialled.remove(0).0)
    }

    /// Opens the link, and makes a websocket of it.
    pub(crate) fn accept(&mut self, node: &mut FakeNode) {
        node.link_opened(self.link);
        self.heard(node);
        self.upgrade(node);
    }

    /// Answers the request that was heard.
    pub(crate) fn upgrade(&mut self, node: &mut FakeNode) {
        let request = String::from_utf8(std::mem::take(&mut self.input)).expect("a request");
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_of(key.expect("a key"));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.ws = Some(WebSocket::server(limits::LOOKUP_READ));
        node.link_received(self.link, answer.as_bytes());
    }

    /// What the node says.
    pub(crate) fn heard(&mut self, node: &mut FakeNode) -> Vec<String> {
        let bytes = node.take_link_output(self.link, usize::MAX);
        self.input.extend_from_slice(&bytes);
        let Some(ws) = &mut self.ws else {
            let request = String::from_utf8(bytes).expect("a request");
            return request.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        };
        let (mut all, mut out) = (Vec::new(), Vec::new());
        while let Some(heard) = ws.hear(&mut self.input, &mut out) {
            match heard {
                Heard::Text(text) => all.push(text),
                Heard::Binary(_) | Heard::Sign => {}
                Heard::Close => all.push("close".into()),
                Heard::Over => break,
            }
        }
        all
    }

    /// Says a text.
    pub(crate) fn say(&mut self, node: &mut FakeNode, text: &str) {
        let mut out = Vec::new();
        self.ws.as_ref().expect("a websocket").text(text, &mut out);
        node.link_received(self.link, &out);
    }

    /// Answers all that the node says with ok, until it says no more; gives what that was.
    pub(crate) fn agree(&mut self, node: &mut FakeNode) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let heard = self.heard(node);
            if heard.is_empty() {
                return all;
            }
            for text in &heard {
                let message: serde_json::Value = serde_json::from_str(text).expect("JSON");
                let msgid = message["msgid"].as_str().expect("a text");
                self.say(node, &format!(r#"{{"ok": true, "msgid": "{msgid}"}}"#));
            }
            all.extend(heard);
        }
    }
}
