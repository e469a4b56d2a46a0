//! What an answer of a webhook means.

use crate::base::limits;
use crate::front::exchange::Reply;

/// What becomes of a message by its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken.
    Taken,
    /// It is not taken, and is to be sent again, for this reason.
    Later(String),
    /// The same, but the fault may be the message's.
    Wrong(String),
    /// There is nobody any more who takes messages.
    Gone(String),
}

/// Judges an answer.
pub(super) fn judge(reply: &Reply) -> Verdict {
    let status = reply.status;
    match status {
        200..300 => Verdict::Taken,
        300..400 => Verdict::Later(format!("it answers {status}, and is not followed elsewhere")),
        400 | 409 | 413 | 415 | 422 => Verdict::Wrong(reason(reply)),
        410 => Verdict::Gone(reason(reply)),
        _ => Verdict::Later(reason(reply)),
    }
}

fn reason(reply: &Reply) -> String {
    let told = told(&reply.body);
    match told.is_empty() {
        true => format!("it answers {}", reply.status),
        false => format!("it answers {}: {told}", reply.status),
    }
}

/// The beginning of a body, as one line for people.
pub(super) fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line = String::new();
    for c in plain {
        if line.len() + c.len_utf8() > limits::WEBHOOK_TOLD {
            break;
        }
        if c != ' ' || !(line.is_empty() || line.ends_with(' ')) {
            line.push(c);
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn only_what_is_answered_well_is_taken() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(&reply(status, "x")), Verdict::Taken);
        }
        for status in [100, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judge(&reply(status, "")), Verdict::Later(_)), "{status}");
        }
        let moved = "it answers 302, and is not followed elsewhere";
        assert_eq!(judge(&reply(302, "")), Verdict::Later(moved.into()));
        for status in [400, 413, 422] {
            assert!(matches!(judge(&reply(status, "")), Verdict::Wrong(_)), "{status}");
        }
        assert_eq!(
            judge(&reply(410, "no\n more")),
            Verdict::Gone("it answers 410: no more".into())
        );
    }

    #[test]
    fn so_much_of_an_answer_is_told() {
        let long = "x".repeat(limits::WEBHOOK_TOLD);
        assert_eq!(told(long.as_bytes()), long);
        assert_eq!(told(format!("{long}y").as_bytes()), long);
        assert_eq!(told(b"\r\n a\x1b[31m\xff "), "a [31m\u{fffd}");
    }
}
