//! Documentation of the routes about jobs.

use super::doc::{
    answer, doc, param, refusal, Answer, Body, Doc, Param, Shape, BYTES, EVENTS, JSON, LINES,
};
use super::feeds::HEARTBEAT;
use crate::base::limits;
use crate::wire::http::Method;

/// For what changes something: the answer comes when it has come about.
pub(super) const WAIT: Param = param(
    "wait",
    Shape::Word(&["running", "stopped"]),
    "Answer when the job is there: 504 if it is not in time, 409 if it will never be.",
);
/// How long.
pub(super) const TIMEOUT: Param = param(
    "timeout",
    Shape::Number(0.0, limits::WAIT_MOST.as_secs_f64()),
    "For how many seconds `wait` waits; 60 if nothing is said.",
);
/// For statistics: what costs more to find out.
pub(super) const PSS: Param = param(
    "pss",
    Shape::Is("Flag"),
    "With `mem_pss`, the proportional share of memory. The kernel adds it up page by page, so it is not read otherwise.",
);
/// For an administrator.
pub(super) const SECRETS: Param = param(
    "secrets",
    Shape::Is("Flag"),
    "Whether values that look like secrets are told: to an administrator alone, and 403 for others.",
);

const NO_JOB: Answer = refusal(404, "There is no such job.");
const NEVER: Answer = refusal(409, "What is waited for will never be.");
/// The node ends, or has no place.
pub(super) const ENDS: Answer =
    refusal(503, "The node ends, or too many clients are here.").with(&["Retry-After"]);
/// What is waited for did not come.
pub(super) const LATE: Answer = refusal(504, "What is waited for has not come in time.");

const DONE: &[(&str, Shape)] = &[(JSON, Shape::Is("Done"))];
/// What was done with logs.
const TENDED: &[(&str, Shape)] = &[(JSON, Shape::Is("LogsTended"))];
/// Names of jobs.
const LIST: Shape = Shape::Json(
    r#"{"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": {"type": "string", "examples": ["site.web"]}},
        "sessionid": {"type": "string"}}}"#,
);

pub(super) const DOCS: &[Doc] = &[
    doc(Method::Get, "/sessions", "listSessions", "`{\"sessions\": [\"default\"]}`").answers(&[answer(
        200,
        "Their names, in the order in which they appeared.",
        &[(JSON, Shape::Json(
            r#"{"type": "object", "required": ["sessions"], "properties": {"sessions": {"type": "array", "items": {"type": "string"}}}}"#,
        ))],
    )]),
    doc(Method::Get, "/jobs", "listJobs", "`{\"jobs\": [\"default.web\"]}`")
        .answers(&[answer(200, "The names of all jobs.", &[(JSON, LIST)])]),
    doc(Method::Get, "/jobs/:session", "listJobsOfSession", "the jobs of a session").answers(&[
        answer(200, "The names of its jobs.", &[(JSON, LIST)]),
        refusal(404, "There is no such session."),
    ]),
    doc(Method::Post, "/jobs/:session", "loadJob", "load a job: the body has its [options](#job-options) and its `name`; 409 if there is one of that name")
        .query(&[WAIT, TIMEOUT])
        .body(Body::Json(Shape::Is("NewJob")))
        .answers(&[
            answer(200, "It is loaded, and starts unless it says otherwise.", DONE),
            refusal(409, "There is a job of this name, or what is waited for will never be."),
            ENDS,
            LATE,
        ]),
    doc(
        Method::Get,
        "/jobs/:session/:job",
        "showJob",
        "the job: its configuration, numbers, `state`, `reason`, `retry_at`, `restarts`, `deaths` and all instances",
    )
    .query(&[SECRETS])
    .answers(&[answer(200, "The job.", &[(JSON, Shape::Is("Job"))]), NO_JOB]),
    doc(Method::Put, "/jobs/:session/:job", "updateJob", "give it a new configuration; its processes stop and come back with it (201)")
        .more("A `name` in the body has to be the job's own.")
        .query(&[WAIT, TIMEOUT])
        .body(Body::Json(Shape::Is("JobAnew")))
        .answers(&[
            answer(201, "It has the new configuration.", DONE),
            NO_JOB,
            NEVER,
            ENDS,
            LATE,
        ]),
    doc(Method::Delete, "/jobs/:session/:job", "unloadJob", "stop its processes and unload it")
        .query(&[WAIT, TIMEOUT])
        .answers(&[answer(200, "It is unloaded; its processes are ending.", DONE), NO_JOB, NEVER, ENDS, LATE]),
    doc(
        Method::Get,
        "/jobs/:session/:job/stats",
        "showJobStats",
        "CPU, memory, threads and descriptors of each process with its group, and sums",
    )
    .query(&[PSS])
    .answers(&[answer(200, "Its statistics.", &[(JSON, Shape::Is("JobStats"))]), NO_JOB]),
    doc(Method::Get, "/jobs/:session/:job/numprocesses", "showNumber", "`{\"numprocesses\": 2}`")
        .answers(&[answer(200, "How many processes are wanted.", &[(JSON, Shape::Is("Number"))]), NO_JOB]),
    doc(
        Method::Post,
        "/jobs/:session/:job/numprocesses",
        "scaleJob",
        "`{\"scale\": 1}` or `\"+1\"`, `\"-1\"`, `\"=3\"`: change the wanted number",
    )
    .more("Any number, also as a text, is added; only behind `=` it is the number that is wanted.")
    .query(&[WAIT, TIMEOUT])
    .body(Body::Json(Shape::Is("Scale")))
    .answers(&[
        answer(200, "How many processes are wanted now.", &[(JSON, Shape::Is("Number"))]),
        NO_JOB,
        NEVER,
        ENDS,
        LATE,
    ]),
    doc(Method::Get, "/jobs/:session/:job/state", "showState", "`1` if some process runs, else `0`").answers(&[
        answer(200, "Whether some process runs.", &[("text/html", Shape::Word(&["0", "1"]))]),
        NO_JOB,
    ]),
    doc(
        Method::Post,
        "/jobs/:session/:job/state",
        "setState",
        "body `1` starts, `0` stops (again: kills), `2` replaces all processes at once (202)",
    )
    .query(&[WAIT, TIMEOUT])
    .body(Body::Digits(&[0, 1, 2]))
    .answers(&[answer(202, "It is begun.", DONE), NO_JOB, NEVER, ENDS, LATE]),
    doc(Method::Get, "/jobs/:session/:job/pids", "listPidsOfJob", "the numbers of its kept processes")
        .answers(&[answer(200, "Their numbers, oldest first.", &[(JSON, Shape::Is("Pids"))]), NO_JOB]),
    doc(Method::Get, "/jobs/:session/:job/deaths", "listDeaths", "how its last runs ended: when, why, what they had used, with which last lines")
        .more("Those from before a restart of gafferd are among them; with an unload they are forgotten.")
        .answers(&[answer(200, "How they ended, newest first.", &[(JSON, Shape::Is("Deaths"))]), NO_JOB]),
    doc(Method::Get, "/deaths", "listAllDeaths", "the same of all jobs, each with the `name` of its job; newest last")
        .more("Those of jobs that were there before a restart of gafferd and are not loaded again are among them.")
        .query(&[
            param("since", WHEN, "Those of this time or later: seconds since 1970, `2026-11-28T21:50:22Z`, or `10m` ago."),
            param("job", Shape::Text, "Those of this job, `S.L`, or of this session, `S`."),
            param("limit", Shape::Whole(1, limits::DEATHS_TOLD as u64), "The last of them, so many; 100 if nothing is said."),
        ])
        .answers(&[answer(200, "How they ended, newest last.", &[(JSON, Shape::Is("AllDeaths"))])]),
    doc(Method::Post, "/jobs/:session/:job/signal", "signalJob", "`{\"signal\": \"HUP\"}` to each of its processes (202)")
        .body(Body::Json(Shape::Is("Signalling")))
        .answers(&[answer(202, "It is sent.", DONE), NO_JOB, ENDS]),
    doc(
        Method::Post,
        "/jobs/:session/:job/commit",
        "commitJob",
        "one process more, not kept alive: `{\"env\": {}, \"graceful_timeout\": 5}`",
    )
    .body(Body::Json(Shape::Is("Commit")))
    .answers(&[
        answer(200, "Its number.", &[(JSON, Shape::Json(
            r##"{"type": "object", "required": ["pid"], "properties": {"pid": {"$ref": "#/components/schemas/Pid"}}}"##,
        ))]),
        NO_JOB,
        refusal(409, "It cannot be started."),
        ENDS,
    ]),
    doc(
        Method::Post,
        "/jobs/:session/:job/restart",
        "restartJob",
        "one instance after the other, each when the one before runs again (202)",
    )
    .query(&[WAIT, TIMEOUT])
    .answers(&[answer(202, "It is begun.", DONE), NO_JOB, refusal(409, "The job is stopped, or what is waited for will never be."), ENDS, LATE]),
    doc(Method::Get, "/logs/:session/:job", "showLogs", "the lines that are kept of a job's output")
        .query(LOGS)
        .fields(LOGS_FIELDS)
        .answers(LOGGED),
    doc(Method::Get, "/logs/:session/:job/#instance", "showLogsOfInstance", "the lines that are kept of one instance's output")
        .query(LOGS)
        .fields(LOGS_FIELDS)
        .answers(LOGGED),
    doc(Method::Get, "/logs", "takenByLogs", "what the output of each job takes on the disk, and what all may take")
        .answers(&[answer(200, "What each takes.", &[(JSON, Shape::Is("Logs"))])]),
    doc(Method::Delete, "/logs/:session/:job", "clearLogs", "remove what is kept of a job's output, whether or not the job is loaded; `cleared` bytes are free again")
        .answers(&[answer(200, "It is gone.", TENDED), NO_JOB]),
    doc(Method::Post, "/logs/:session/:job/rotate", "rotateLogs", "put the log files of a job aside and begin new ones; `rotated` says how many")
        .answers(&[answer(200, "They are put aside.", TENDED), NO_JOB, refusal(503, "One of them cannot be; `detail` says why.")]),
    doc(Method::Post, "/logs/reopen", "reopenLogs", "open all log files again, as after SIGUSR1, where they were moved away")
        .answers(&[answer(200, "They are opened at the next line.", DONE)]),
];

/// A time as it may be said; the last days of months are left out, which not all of them have.
pub(super) const WHEN: Shape = Shape::Json(
    r#"{"type": "string", "pattern": "^([0-9]{1,10}(\\.[0-9]{1,6})?|[0-9]{1,5}[smhd]|20[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)$", "examples": ["10m"]}"#,
);

const LOGS: &[Param] = &[
    param("tail", Shape::Whole(0, u64::MAX), "The last lines, so many."),
    param(
        "since",
        WHEN,
        "Lines of this time or later: seconds since 1970, `2026-11-28T21:50:22Z`, or `10m` ago.",
    ),
    param("until", WHEN, "Lines from before this time, said so, too."),
    param(
        "after",
        Shape::Whole(0, u64::MAX),
        "What came after this number, as `Gaffer-Seq` and `seq` tell it.",
    ),
    param("grep", Shape::Text, "Lines in which this regular expression is found."),
    param(
        "follow",
        Shape::Word(&["0", "1", "false", "true", ""]),
        "Whether it goes on with what is written.",
    ),
    param(
        "stream",
        Shape::Text,
        "Lines of the stream of this label alone, or of `out` or `err` whatever these are called.",
    ),
    param(
        "form",
        Shape::Word(&["text", "json"]),
        "`json`: each line as an object with its number, time, instance and stream.",
    ),
    param(
        "feed",
        Shape::Word(&["normal", "eventsource"]),
        "`eventsource`: each such object as a server-sent event.",
    ),
    HEARTBEAT,
];

const LOGS_FIELDS: &[Param] = &[
    param(
        "Accept",
        Shape::Text,
        "`application/x-ndjson` or `text/event-stream` where neither `form` nor `feed` is said.",
    ),
    param(
        "Last-Event-ID",
        Shape::Text,
        "As `after`, which goes before it: a browser says it when it comes back.",
    ),
];

const LOGGED: &[Answer] = &[
    answer(
        200,
        "The lines, in the order of their arrival.",
        &[
            ("text/plain", Shape::Text),
            (LINES, Shape::Is("LogLine")),
            (EVENTS, Shape::Is("ServerSent")),
        ],
    )
    .not_kept()
    .with(&["Gaffer-Seq", "Gaffer-Lost"]),
    refusal(503, "Too many read logs, or too many clients are here.").with(&["Retry-After"]),
    refusal(404, "There is no such job, or no such instance of it."),
];

/// Bytes of a stream.
pub(super) const STREAMED: (&str, Shape) = (BYTES, Shape::Json("{}"));
