//! Documentation of the routes about processes: what they are, and what is written to and by them.

use super::doc::{
    answer, doc, param, refusal, required, Answer, Body, Doc, Param, Shape, EVENTS, JSON,
};
use super::feeds::{HEARTBEAT, LAST_EVENT, SINCE};
use super::jobs::{ENDS, LATE, PSS, SECRETS, STREAMED, TIMEOUT, WAIT};
use crate::wire::http::Method;

const NONE: Answer = refusal(404, "There is no such process.");
const DONE: &[(&str, Shape)] = &[(JSON, Shape::Is("Done"))];

pub(super) const DOCS: &[Doc] = &[
    doc(Method::Get, "/pids", "listPids", "the numbers of all processes")
        .answers(&[answer(200, "Their numbers.", &[(JSON, Shape::Is("Pids"))])]),
    doc(Method::Get, "/#pid", "showProcess", "one process: command, environment, ids, `state`, `uptime`")
        .query(&[SECRETS])
        .answers(&[answer(200, "The process.", &[(JSON, Shape::Is("Process"))]), NONE]),
    doc(Method::Delete, "/#pid", "stopProcess", "stop it; a kept one is replaced (202)")
        .query(&[WAIT, TIMEOUT])
        .answers(&[
            answer(202, "It is begun.", DONE),
            NONE,
            refusal(409, "What is waited for will never be."),
            ENDS,
            LATE,
        ]),
    doc(Method::Post, "/#pid/signal", "signalProcess", "`{\"signal\": 15}` or a name, to this process alone (202)")
        .body(Body::Json(Shape::Is("Signalling")))
        .answers(&[answer(202, "It is sent.", DONE), NONE]),
    doc(Method::Get, "/#pid/stats", "showProcessStats", "its statistics").query(&[PSS]).answers(&[
        answer(200, "Its statistics.", &[(JSON, Shape::Json(
            r##"{"type": "object", "required": ["stats"], "properties": {"stats": {"$ref": "#/components/schemas/ProcessStats"}}}"##,
        ))]),
        NONE,
    ]),
    doc(Method::Get, "/#pid/tree", "showTree", "the process and those that came from it, parents first, with the kernel's numbers")
        .answers(&[answer(200, "The tree.", &[(JSON, Shape::Is("Tree"))]), NONE]),
    doc(
        Method::Get,
        "/#pid/channel",
        "openChannel",
        "a websocket to a process, in `V1` frames; `?mode=1` reads, `2` writes, `3` does both",
    )
    .more(SPOKEN)
    .query(&[MODE])
    .fields(HANDSHAKE)
    .answers(UPGRADED),
    doc(Method::Get, "/#pid/channel/:label", "openChannelOfStream", "a websocket to one stream of a process, in `V1` frames")
        .more(SPOKEN)
        .query(&[MODE])
        .fields(HANDSHAKE)
        .answers(UPGRADED),
    doc(
        Method::Get,
        "/wstreams/#pid",
        "openStream",
        "a websocket to a process, as it is: what it writes comes, what you send is its stdin",
    )
    .more(SPOKEN)
    .query(&[param("stream", Shape::Text, "The label of the stream that is read; the first if nothing is said.")])
    .fields(HANDSHAKE)
    .answers(UPGRADED),
    doc(Method::Get, "/streams/#pid/:label", "followStream", "what a process writes to a stream, or the last of what it wrote, with `feed=kept`")
        .query(&[
            param(
                "feed",
                Shape::Word(&["longpoll", "continuous", "eventsource", "kept"]),
                "What of it: the next thing, all from now on as chunks or as server-sent events, or what is kept of it.",
            ),
            SINCE,
            HEARTBEAT,
        ])
        .fields(&[LAST_EVENT])
        .answers(&[
            answer(200, "What it writes. It ends with the process, if not before; what is kept ends at once.", &[
                STREAMED,
                (EVENTS, Shape::Is("ServerSent")),
            ])
            .with(&["Gaffer-Position", "Gaffer-Lost"]),
            refusal(404, "There is no such process, or no such stream of it."),
        ]),
    doc(
        Method::Post,
        "/streams/#pid/:label",
        "writeStream",
        "write the body to a process: to its `stdin`, or to a custom stream; `?close=1` tells its end behind it",
    )
    .more("The answer comes when it is in the queue: who finds that full waits until there is room.")
    .query(&[param("close", Shape::Is("Flag"), "Whether the stream ends behind it.")])
    .body(Body::Bytes)
    .answers(&[
        answer(200, "It is in the queue.", DONE),
        refusal(404, "There is no such process, or no such stream of it."),
        refusal(409, "The stream is closed."),
    ]),
];

const SPOKEN: &str = "Who has said no key in the head says it as the first message, `AUTH:KEY`, where the websocket speaks in frames. \
     What cannot be opened is told on the websocket, which is closed then.";

const MODE: Param = param(
    "mode",
    Shape::Whole(1, 3),
    "1 to read, 2 to write, 3 for both, which it is if nothing is said.",
);

/// What makes a websocket of a request (RFC 6455 section 4.1).
const HANDSHAKE: &[Param] = &[
    required("Upgrade", Shape::Word(&["websocket"]), "That it becomes a websocket,"),
    required("Connection", Shape::Word(&["Upgrade"]), "from here on,"),
    required("Sec-WebSocket-Version", Shape::Word(&["13"]), "of this version."),
    required(
        "Sec-WebSocket-Key",
        Shape::Json(
            r#"{"type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$", "examples": ["dGhlIHNhbXBsZSBub25jZQ=="]}"#,
        ),
        "16 bytes in base64.",
    ),
];

const UPGRADED: &[Answer] = &[
    answer(101, "From here on it is a websocket.", &[]).with(&["Sec-WebSocket-Accept"]),
    refusal(404, "The path names no process by its number."),
    refusal(426, "Another version of the protocol is asked for.").with(&["Sec-WebSocket-Version"]),
];
