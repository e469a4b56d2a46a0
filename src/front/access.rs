//! Who may talk to us at all: the names under which this node answers, and the web pages that may
//! use it. It is what keeps a page in the operator's browser from reaching the API, by another
//! origin or by a name that was rebound to this machine's address.

use std::net::IpAddr;

use super::peer::Peer;
use super::request::Request;
use super::response::Response;
use crate::wire::http::Method;

/// The rules of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Host names, besides `localhost` and addresses, under which clients may ask; `*` for all.
    pub hosts: Vec<String>,
    /// Origins, as browsers write them (`https://example.org`), whose pages may use the API.
    pub origins: Vec<String>,
}

/// Headers that a cross-origin page that may use the API needs to see.
pub type CorsHeaders = Vec<(&'static str, String)>;

const METHODS: &str = "POST, GET, PUT, DELETE, OPTIONS";
const HEADERS: &str = "X-Requested-With, X-HTTP-Method-Override, Content-Type, Accept, \
                       Authorization, X-Api-Key";

impl Access {
    /// Checks where a request comes from and under which name it came.
    ///
    /// # Errors
    /// The answer to give: 421 for a foreign `Host`, 403 for a foreign `Origin` or a cross-site
    /// `Sec-Fetch-Site`, 415 for a browser's request that changes something and is not JSON.
    pub fn check(&self, request: &Request, peer: Peer) -> Result<CorsHeaders, Response> {
        if let Peer::Tcp { .. } = peer {
            let host = request.host();
            if !host.is_none_or(|host| self.knows_host(host)) {
                return Err(refused(
                    421,
                    "misdirected_request",
                    "this node does not answer under that name; add it to allowed_hosts",
                ));
            }
        }
        let cors = self.check_origin(request)?;
        let changes = matches!(request.method, Method::Post | Method::Put);
        if changes && request.is_from_browser() && !is_json(request) {
            let mut answer = refused(
                415,
                "unsupported_media_type",
                "a browser has to send Content-Type: application/json",
            );
            answer.headers.extend(cors);
            return Err(answer);
        }
        Ok(cors)
    }

    fn knows_host(&self, host: &str) -> bool {
        let Some(name) = host_name(host) else { return false };
        // A page can be given any name of its own for our address, but not the address as a name.
        let literal = name.parse::<IpAddr>().is_ok();
        let known = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(&name);
        literal || name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(known)
    }

    fn check_origin(&self, request: &Request) -> Result<CorsHeaders, Response> {
        let foreign = || refused(403, "forbidden", "requests from this origin are not allowed");
        let Some(origin) = request.headers.get("origin") else {
            return match request.headers.get("sec-fetch-site") {
                None | Some("same-origin" | "none") => Ok(Vec::new()),
                Some(_) => Err(foreign()),
            };
        };
        if self.origins.iter().any(|allowed| allowed == origin) {
            return Ok(cors_headers(origin));
        }
        let own = origin.split_once("://").map(|(_, authority)| authority);
        if own.is_some() && own == request.host() {
            return Ok(Vec::new());
        }
        Err(foreign())
    }
}

fn cors_headers(origin: &str) -> CorsHeaders {
    vec![
        ("Access-Control-Allow-Origin", origin.to_owned()),
        ("Access-Control-Allow-Methods", METHODS.to_owned()),
        ("Access-Control-Allow-Headers", HEADERS.to_owned()),
        ("Access-Control-Allow-Credentials", "true".to_owned()),
        ("Access-Control-Max-Age", "86400".to_owned()),
        ("Access-Control-Expose-Headers", "ETag".to_owned()),
        ("Vary", "Origin".to_owned()),
    ]
}

fn refused(status: u16, reason: &str, detail: &str) -> Response {
    let body = serde_json::json!({"error": status, "reason": reason, "detail": detail});
    Response::json(status, &body)
}

fn is_json(request: &Request) -> bool {
    let content = request.headers.get("content-type").unwrap_or_default();
    let kind = content.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The name in a `Host` header, without its port and an address's brackets; `None` if it is none.
fn host_name(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (address, port)
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port_is_one = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (port_is_one && !name.is_empty()).then(|| name.trim_end_matches('.').to_owned())
}
