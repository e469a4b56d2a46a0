//! What is answered for a file of a site, once it is open or not.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use log::warn;

use super::file::{Unopened, What};
use crate::base::error::Errno;
use crate::front::conditions::{decide, Validators, Verdict};
use crate::front::media::type_of;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::sys::beneath::Fault;
use crate::wire::http::imf_fixdate;

/// What pages of a site may do: use all of their own origin, which is the node's, with styles and small pictures
/// within them; nothing of elsewhere, and they stand in no other page.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; \
                      frame-ancestors 'none'";

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// This, as it is.
    Whole(Response),
    /// This head, and behind it these bytes of the file.
    Bytes(Response, Range<u64>),
}

/// What is answered with a file that was found, by its name.
pub fn found(request: &Request, name: &str, what: &What, now: SystemTime) -> Told {
    // Its second, as it is told; and no time that is still to come (RFC 9110 section 8.8.2.1).
    let since = what.modified.min(now).duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs());
    let validators = Validators { tag: tag(what), modified };
    let verdict = decide((request.method, &request.headers), &validators, what.length, now);
    let known = |response: Response| {
        response
            .with("ETag", validators.tag.clone())
            .with("Last-Modified", imf_fixdate(modified))
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", POLICY)
    };
    let body = |status: u16| {
        let response = known(Response::empty(status))
            .with("Content-Type", type_of(name))
            .with("Accept-Ranges", "bytes");
        match what.gzip {
            true => response.with("Content-Encoding", "gzip"),
            false => response,
        }
    };
    let all = format!("*/{}", what.length);
    match verdict {
        Verdict::Whole => Told::Bytes(body(200), 0..what.length),
        Verdict::Part(range) => {
            let part = format!("bytes {}-{}/{}", range.start, range.end - 1, what.length);
            Told::Bytes(body(206).with("Content-Range", part), range)
        }
        Verdict::Unchanged => Told::Whole(known(Response::empty(304))),
        Verdict::Failed => Told::Whole(Response::error(412, None)),
        Verdict::Beyond => {
            let refused = Response::error(416, Some("the file has no such bytes"));
            Told::Whole(refused.with("Content-Range", format!("bytes {all}")))
        }
    }
}

/// A strong tag: what is replaced has another number, and what is written another time. That of what is
/// compressed is its own.
fn tag(what: &What) -> String {
    let since = what.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (inode, length, nanos) = (what.inode, what.length, since.as_nanos());
    format!("\"{inode:x}-{length:x}-{nanos:x}{}\"", if what.gzip { "-gz" } else { "" })
}

/// What is answered where there is no file to be had. It tells nothing of where the site lies.
pub fn not_found(request: &Request, why: Unopened) -> Response {
    let errno = match why {
        Unopened::Folder if request.path.ends_with('/') => return Response::error(404, None),
        Unopened::Folder => return folder(request),
        Unopened::Fault(Fault::Link) => {
            return Response::error(403, Some("no symbolic link is followed here"));
        }
        Unopened::Fault(Fault::NotAFile) => {
            return Response::error(403, Some("this is no regular file"));
        }
        Unopened::Fault(Fault::Exposed) => {
            let why = "others may write this, and gafferd runs as root; chmod go-w it";
            return Response::error(403, Some(why));
        }
        Unopened::Fault(Fault::Io(errno)) => errno,
    };
    match errno {
        Errno(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => Response::error(404, None),
        Errno(libc::EACCES | libc::EPERM) => {
            Response::error(403, Some("gafferd may not read this"))
        }
        Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
            Response::error(503, None).with("Retry-After", "1")
        }
        other => {
            warn!("a file of a site is not served: {other}");
            Response::error(500, None)
        }
    }
}

/// Sends to the same place with a slash behind it, from where relative addresses of the page are meant. It is said
/// relative to where the client is, so that it holds below whatever stands before it, and for no other host.
pub fn folder(request: &Request) -> Response {
    let last = request.path.rsplit('/').next().unwrap_or_default();
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Response::empty(301).with("Location", format!("./{last}/{query}"))
}
