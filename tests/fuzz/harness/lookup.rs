//! What nodes say to a lookupd: any text is a message that reads back, or is refused in the protocol's
//! words; and a name that is taken is told as it was said.

#![allow(
    unreachable_pub,
    reason = "the fuzz targets are another crate, the tests include this file"
)]

use gaffer::lookup::identity::{Identity, Named};
use gaffer::wire::json;
use gaffer::wire::lookup::{self, Request, What};
use serde_json::{json, Value};

/// The fuzz target for messages of nodes.
pub fn message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match lookup::parse(&text) {
        Ok(request) => {
            let rendered = json::text(&render(&request));
            assert_eq!(lookup::parse(&rendered).as_ref(), Ok(&request), "{rendered}");
            let answer = json::parse(lookup::done(&request.msgid).as_bytes()).expect("JSON");
            assert_eq!(answer, json!({"ok": true, "msgid": request.msgid}));
            content(&request.what);
        }
        Err(invalid) => {
            let told = lookup::refused(&invalid.msgid, &invalid.refusal);
            let answer = json::parse(told.as_bytes()).expect("a refusal is JSON");
            assert_eq!((&answer["errno"], &answer["msgid"]), (&json!(400), &invalid.msgid));
            let word = answer["reason"].as_str().expect("a word");
            assert!(["invalid_json", "invalid_message", "invalid_message_type"].contains(&word));
        }
    }
}

/// A message as a node would write it.
pub fn render(request: &Request) -> Value {
    let (kind, more) = match &request.what {
        What::Identify { name, origin, version } => {
            ("IDENTIFY", json!({"name": name, "origin": origin, "version": version}))
        }
        What::Ping => ("PING", json!({})),
        What::RegisterJob(job) => ("REGISTER_JOB", json!({"job_name": job})),
        What::UnregisterJob(job) => ("UNREGISTER_JOB", json!({"job_name": job})),
        What::RegisterProcess(job, pid) => {
            ("REGISTER_PROCESS", json!({"job_name": job, "pid": pid}))
        }
        What::UnregisterProcess(job, pid) => {
            ("UNREGISTER_PROCESS", json!({"job_name": job, "pid": pid}))
        }
    };
    let mut message = json!({"msgid": request.msgid, "type": kind});
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    message
}

/// What is in it is taken, and harmless, or refused.
fn content(what: &What) {
    let job = match what {
        What::Ping => return,
        What::Identify { name, origin, version } => {
            if let Ok(who) = Identity::new(name, origin, version) {
                let info = json::parse(who.info.as_bytes()).expect("JSON");
                assert_eq!(info, json!({"name": name, "origin": origin, "version": version}));
                assert!(!who.info.chars().any(char::is_control));
            }
            return;
        }
        What::RegisterJob(job) | What::UnregisterJob(job) => job,
        What::RegisterProcess(job, _) | What::UnregisterProcess(job, _) => job,
    };
    if let Ok(named) = Named::parse(job) {
        assert_eq!(named.to_string(), *job);
        assert!(!job.chars().any(|c| c.is_control() || "\"\\<>&".contains(c)));
        let again = Named::parse(&named.text).expect("a name");
        assert_eq!((&again.text, again.session()), (&named.text, named.session()));
    }
}
