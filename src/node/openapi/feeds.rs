//! Documentation of the routes whose answers go on: what happens, and what is used.

use super::doc::{answer, doc, param, refusal, Answer, Doc, Param, Shape, EVENTS, JSON, LINES};
use super::jobs::WHEN;
use crate::base::limits;
use crate::wire::http::Method;

/// How it comes.
pub(super) const FEED: Param = param(
    "feed",
    Shape::Word(&["longpoll", "continuous", "eventsource"]),
    "How it comes: the next thing alone, which it is if nothing is said; all from now on, in chunks; or as server-sent events.",
);
/// What keeps a silent feed alive.
pub(super) const HEARTBEAT: Param = param(
    "heartbeat",
    Shape::Json(
        r#"{"anyOf": [{"enum": ["true", "false", ""]}, {"type": "integer", "minimum": 0, "maximum": 3600}]}"#,
    ),
    "After how many seconds something is sent though there is nothing to tell: 60 for `true`, 0 for never.",
);
/// From where.
pub(super) const SINCE: Param = param(
    "since",
    Shape::Whole(0, u64::MAX),
    "What comes behind this: the number of an event, or a position in a stream.",
);
/// The same from a browser.
pub(super) const LAST_EVENT: Param = param(
    "Last-Event-ID",
    Shape::Text,
    "As `since`, which goes before it: a browser says it when it comes back.",
);

const PARTS: &str = "Events whose dotted name begins with these parts, as `/watch/job/S/L`.";

const EVENTS_TOLD: &[Answer] = &[answer(
    200,
    "Events, as they happen: it goes on until the client leaves, but for `longpoll`.",
    &[(JSON, Shape::Is("Event")), (LINES, Shape::Is("Event")), (EVENTS, Shape::Is("ServerSent"))],
)
.not_kept()];

const OF_PART: &[Answer] = &[EVENTS_TOLD[0], refusal(404, "No event's name begins so.")];

const fn watch(pattern: &'static str, id: &'static str) -> Doc {
    let about = "events whose dotted name begins so: `/watch/job/S/L`";
    doc(Method::Get, pattern, id, about)
        .more(PARTS)
        .query(&[FEED, SINCE, HEARTBEAT])
        .fields(&[LAST_EVENT])
        .answers(OF_PART)
}

const STATS: &[Param] = &[
    param(
        "feed",
        Shape::Word(&["normal", "longpoll", "continuous", "eventsource"]),
        "How it comes: once, which it is if nothing is said; the next ones alone; or again and again, in chunks or as server-sent events.",
    ),
    param(
        "interval",
        Shape::Number(limits::STATS_INTERVALS.0.as_secs_f64(), limits::STATS_INTERVALS.1.as_secs_f64()),
        "How often, in seconds; 1 if nothing is said.",
    ),
    HEARTBEAT,
];

pub(super) const DOCS: &[Doc] = &[
    doc(Method::Get, "/stats", "followStats", "statistics of all jobs, once or again and again")
        .query(STATS)
        .answers(&[answer(
            200,
            "Statistics of all jobs.",
            &[
                (JSON, Shape::Is("AllStats")),
                (LINES, Shape::Is("AllStats")),
                (EVENTS, Shape::Is("ServerSent")),
            ],
        )]),
    doc(
        Method::Get,
        "/stats/history",
        "listUsage",
        "what each instance used in the last ten minutes, in steps of 5 seconds, as far as somebody watched",
    )
    .more("Nothing is measured for it unless `stats_history` of `[gaffer]` is `always`: a step in which nothing was measured is `null`. All arrays are of one length, oldest first, and their last step ends at `until`.")
    .query(&[
        param("since", WHEN, "Steps that end after this time: seconds since 1970, `2026-11-28T21:50:22Z`, or `2m` ago."),
        param("session", Shape::Text, "Instances of this session."),
        param("job", Shape::Text, "Instances of this job: its label in that session, or without one `S.L`."),
    ])
    .answers(&[answer(200, "What they used, of those that one may read.", &[(JSON, Shape::Is("UsageHistory"))])
        .not_kept()]),
    doc(
        Method::Get,
        "/stats/:session/:job",
        "followJobStats",
        "statistics of one job, once or again and again",
    )
    .query(STATS)
    .answers(&[
        answer(
            200,
            "Statistics of the job.",
            &[
                (JSON, Shape::Is("JobStats")),
                (LINES, Shape::Is("JobStats")),
                (EVENTS, Shape::Is("ServerSent")),
            ],
        ),
        refusal(404, "There is no such job."),
    ]),
    doc(Method::Get, "/watch", "watch", "all events, as they happen")
        .query(&[FEED, SINCE, HEARTBEAT])
        .fields(&[LAST_EVENT])
        .answers(EVENTS_TOLD),
    watch("/watch/:part", "watchPart"),
    watch("/watch/:part/:part", "watchTwoParts"),
    watch("/watch/:part/:part/:part", "watchThreeParts"),
    watch("/watch/:part/:part/:part/:part", "watchFourParts"),
];
