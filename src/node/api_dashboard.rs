//! The dashboard: a page with its style and its scripts, which are in the program. They hold no secret and are
//! everybody's; what the page does is done by requests of its own, with the key that it is given.

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use super::plugins::answer;
use crate::base::sorted::SortedSet;
use crate::front::conditions::accepts_gzip;
use crate::front::media::type_of;
use crate::front::request::Request;
use crate::front::response::Response;

/// A file of the page.
pub struct Asset {
    /// Its name below `src/dashboard`.
    pub name: &'static str,
    /// What is in it, compressed.
    pub gzip: &'static [u8],
}

/// All of them, as `build.rs` found them.
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

impl Asset {
    /// What is in it.
    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut plain).expect("it was compressed by build.rs");
        plain
    }
}

/// `GET /_dashboard`: it lies below that.
pub fn folder(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    Ok(answer::folder(call.request).into())
}

/// `GET /_dashboard/REST`: a file of it, or its page.
pub fn file(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = match call.open.as_slice() {
        [name] if name.is_empty() => "index.html".to_owned(),
        rest => rest.join("/"),
    };
    Ok(Answer::Dashboard(name))
}

/// Sends a browser from the root of the node to the dashboard: said relative to where it is, so that it holds below
/// whatever stands before it.
pub(super) fn below(request: &Request) -> Response {
    let last = request.path.rsplit('/').next().unwrap_or_default();
    let place = match last {
        "" => "./_dashboard/".to_owned(),
        last => format!("./{last}/_dashboard/"),
    };
    Response::empty(303).with("Location", place).with("Vary", "Accept")
}

impl Gaffer {
    /// A file of the dashboard.
    pub(super) fn dashboard(&self, name: &str, request: &Request) -> Response {
        let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
            return Response::error(404, None);
        };
        let head = Response::empty(200)
            .with("Content-Type", type_of(name))
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", self.dashboard_policy());
        match accepts_gzip(&request.headers) {
            true => Response { body: asset.gzip.to_vec(), ..head.with("Content-Encoding", "gzip") },
            false => Response { body: asset.plain(), ..head },
        }
    }

    /// The origins that this node was told of: their pages may use it, and its own page may ask them.
    pub(super) fn named_origins(&self) -> Vec<&str> {
        self.access.origins.iter().map(String::as_str).filter(|origin| *origin != "*").collect()
    }

    /// What the page may do: run and show what comes from the node itself, and nothing that stands within a page; ask
    /// that node, and those beside it that the node was told of: the origins whose pages it lets in, as nodes that
    /// show each other name each other, and the lookupds with which it registers.
    fn dashboard_policy(&self) -> String {
        let mut others: SortedSet<String> =
            self.named_origins().into_iter().map(str::to_owned).collect();
        others.extend(self.lookups.web_addresses());
        let sockets = |origin: &String| origin.replacen("http", "ws", 1);
        let reached: String =
            others.iter().map(|origin| format!(" {origin} {}", sockets(origin))).collect();
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'{reached}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }
}
