//! Who may talk to us at all: the names under which this node answers, and the web pages that may
//! use it. It is what keeps a page in the operator's browser from reaching the API, by another
//! origin or by a name that was rebound to this machine's address.

use std::net::{IpAddr, Ipv6Addr};

use super::peer::Peer;
use super::request::Request;
use super::response::Response;
use crate::wire::http::Method;

/// The rules of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Host names, besides `localhost` and addresses, under which clients may ask; `*` for all.
    pub hosts: Vec<String>,
    /// Origins, as browsers write them (`https://example.org`), whose pages may use the API. A `*`
    /// stands for all of them, pages without an origin included: with it any page that anybody here
    /// looks at can do what they can, so it is for servers that have nothing to protect; the
    /// configuration of a daemon does not take it.
    pub origins: Vec<String>,
}

/// Headers that a cross-origin page that may use the API needs to see.
pub type CorsHeaders = Vec<(&'static str, String)>;

const METHODS: &str = "POST, GET, PUT, DELETE, OPTIONS";
const HEADERS: &str = "X-Requested-With, X-HTTP-Method-Override, Content-Type, Accept, \
                       Authorization, X-Api-Key";
/// What scripts of such a page see of the heads of answers, beside what they always see.
const EXPOSED: &str = "ETag, Gaffer-Seq, Gaffer-Lost";

impl Access {
    /// Checks where a request comes from and under which name it came.
    ///
    /// # Errors
    /// The answer to give: 421 for a foreign `Host`, 403 for a foreign `Origin` or a cross-site
    /// `Sec-Fetch-Site`, 415 for a browser's request that changes something and is not JSON.
    pub fn check(&self, request: &Request, peer: Peer) -> Result<CorsHeaders, Response> {
        let cors = self.admit(request, peer)?;
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

    /// The same for clients that send their messages as any type: where it comes from, and under
    /// which name, and nothing else.
    ///
    /// # Errors
    /// The answer to give: 421 for a foreign `Host`, 403 for a foreign `Origin` or a cross-site
    /// `Sec-Fetch-Site`.
    pub fn admit(&self, request: &Request, peer: Peer) -> Result<CorsHeaders, Response> {
        if let Peer::Tcp { .. } = peer {
            let host = request.host();
            if !host.is_none_or(|host| self.knows_host(host)) {
                return Err(refused(
                    421,
                    "misdirected_request",
                    "requests under this name are not allowed; allow it with --allowed-host",
                ));
            }
        }
        self.check_origin(request, peer)
    }

    fn knows_host(&self, host: &str) -> bool {
        let Some(name) = host_name(host) else { return false };
        // A page can be given any name of its own for our address, but not the address as a name.
        let literal = name.parse().is_ok_and(is_one_machine);
        let known = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(&name);
        literal || name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(known)
    }

    fn check_origin(&self, request: &Request, peer: Peer) -> Result<CorsHeaders, Response> {
        let foreign = || refused(403, "forbidden", "requests from this origin are not allowed");
        let all = self.origins.iter().any(|allowed| allowed == "*");
        let Some(origin) = request.headers.get("origin") else {
            if all {
                return Ok(vec![
                    ("Access-Control-Allow-Origin", "*".to_owned()),
                    ("Vary", "Origin".to_owned()),
                ]);
            }
            return match request.headers.get("sec-fetch-site") {
                None | Some("same-origin" | "none") => Ok(Vec::new()),
                Some(_) => Err(foreign()),
            };
        };
        if all || self.origins.iter().any(|allowed| allowed == origin) {
            return Ok(cors_headers(origin));
        }
        // Without TLS something in front of us may speak it. With it, a page of the same name that came
        // in clear text may be anybody's.
        let own = |(scheme, authority)| {
            Some(authority) == request.host() && (scheme == "https" || !peer.is_over_tls())
        };
        if origin.split_once("://").is_some_and(own) {
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
        ("Access-Control-Expose-Headers", EXPOSED.to_owned()),
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

/// Whether an address is one machine's, written as such. That of all machines, and addresses of IPv4 that are
/// written as of IPv6, lead to the loopback too; but browsers do not take them for it, and do not say
/// of what they get from there which site asks for it.
fn is_one_machine(address: IpAddr) -> bool {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    !mapped && !address.is_unspecified()
}

/// The name in a `Host` header, without its port and an address's brackets; `None` if it is none.
/// A port may be empty (RFC 3986 section 3.2.3), and brackets hold an IPv6 address and nothing else.
fn host_name(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port_is_one = port.is_empty() || digits && port.parse::<u16>().is_ok();
    let name = name.strip_suffix('.').unwrap_or(name);
    (port_is_one && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{Headers, Version};
    use std::net::SocketAddr;

    const UNIX: Peer = Peer::Unix { uid: Some(1000) };
    const NAMED: &str = "https://page.example";

    fn tcp() -> Peer {
        Peer::Tcp { remote: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: None }
    }

    fn access() -> Access {
        Access { hosts: vec!["node.example".into()], origins: vec![NAMED.into()] }
    }

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name, value);
        }
        Request {
            method,
            path: "/jobs".into(),
            query: None,
            authority: None,
            version: Version::Http11,
            headers,
            body: Vec::new(),
        }
    }

    /// The status of a refusal; 0 for none.
    fn refusal(checked: Result<CorsHeaders, Response>) -> u16 {
        checked.err().map_or(0, |response| response.status)
    }

    #[test]
    fn a_node_answers_under_its_own_names_and_addresses_alone() {
        for known in [
            "localhost",
            "LocalHost:5000",
            "localhost.",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:5000",
            "[::1]",
            "[::1]:5000",
            "[::1]:",
            "192.168.1.7:5000",
            "8.8.8.8",
            "[2001:db8::1]:80",
            "node.example",
            "NODE.example.:5000",
        ] {
            let asked = request(Method::Get, &[("Host", known)]);
            assert_eq!(refusal(access().check(&asked, tcp())), 0, "{known:?}");
        }
        for strange in [
            "",
            ".",
            ":5000",
            "example.org",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.com:127",
            "evil.com.",
            "localhost..",
            "localhost.:5000.",
            ".localhost",
            "localhost%2e",
            "localhost,evil.com",
            "user@localhost",
            "localhost:5000@evil.com",
            "localhost:x",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[localhost]",
            "[127.0.0.1]",
            "[fe80::1%25eth0]:5000",
            "[::1%25lo]",
            "[::1].",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "0.0.0.0:5000",
            "[::]:5000",
            "[::ffff:127.0.0.1]:5000",
            "[::ffff:7f00:1]",
            "[::ffff:0:0]",
            "other.node.example",
            "*",
        ] {
            let asked = request(Method::Get, &[("Host", strange)]);
            assert_eq!(refusal(access().check(&asked, tcp())), 421, "{strange:?}");
            assert_eq!(refusal(access().check(&asked, UNIX)), 0, "{strange:?} over unix");
        }
        let nameless = request(Method::Get, &[]);
        assert_eq!(refusal(access().check(&nameless, tcp())), 0, "HTTP/1.0");
        let mut absolute = request(Method::Get, &[("Host", "localhost")]);
        absolute.authority = Some("evil.com".into());
        assert_eq!(refusal(access().check(&absolute, tcp())), 421, "the target's word counts");
    }

    #[test]
    fn a_star_stands_for_every_name() {
        let all = Access { hosts: vec!["*".into()], origins: Vec::new() };
        for (host, status) in [("evil.com", 0), ("a.b:80", 0), ("", 421), ("a:b", 421)] {
            let asked = request(Method::Get, &[("Host", host)]);
            assert_eq!(refusal(all.check(&asked, tcp())), status, "{host:?}");
        }
    }

    #[test]
    fn pages_are_let_in_by_their_origin() {
        let origin = |value| ("Origin", value);
        let site = |value| ("Sec-Fetch-Site", value);
        let own = origin("http://localhost:5000");
        let table: [(&[(&str, &str)], u16); 18] = [
            (&[], 0),
            (&[site("none")], 0),
            (&[site("same-origin")], 0),
            (&[site("same-site")], 403),
            (&[site("cross-site")], 403),
            (&[site("")], 403),
            (&[own], 0),
            (&[own, site("same-origin")], 0),
            (&[origin("http://localhost:3000")], 403),
            (&[origin("http://localhost")], 403),
            (&[origin("localhost:5000")], 403),
            (&[origin("null")], 403),
            (&[origin("")], 403),
            (&[origin(NAMED)], 0),
            (&[origin(NAMED), site("cross-site")], 0),
            (&[origin("http://page.example")], 403),
            (&[origin("https://page.example:8443")], 403),
            (&[origin("https://page.example.evil.com")], 403),
        ];
        for (fields, status) in table {
            for peer in [tcp(), UNIX] {
                let fields = [&[("Host", "localhost:5000")], fields].concat();
                for method in [Method::Get, Method::Delete, Method::Options] {
                    let asked = request(method, &fields);
                    assert_eq!(refusal(access().check(&asked, peer)), status, "{fields:?}");
                }
            }
        }
        // A page that has a name of its own for our address is of no origin of ours.
        let rebound = [("Host", "evil.com"), ("Origin", "http://evil.com")];
        assert_eq!(refusal(access().check(&request(Method::Get, &rebound), tcp())), 421);
    }

    #[test]
    fn a_star_stands_for_every_origin() {
        let all = Access { hosts: Vec::new(), origins: vec!["*".into()] };
        let told = |fields: &[(&str, &str)], name: &str| {
            let fields = [&[("Host", "localhost")], fields].concat();
            let told = all.check(&request(Method::Get, &fields), tcp()).expect("let in");
            told.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let allowed = "Access-Control-Allow-Origin";
        for origin in ["http://any.example", "null"] {
            assert_eq!(told(&[("Origin", origin)], allowed).as_deref(), Some(origin));
        }
        assert_eq!(told(&[("Sec-Fetch-Site", "cross-site")], allowed).as_deref(), Some("*"));
        assert_eq!(told(&[], "Access-Control-Allow-Credentials"), None);
        let foreign = request(Method::Get, &[("Host", "evil.com"), ("Origin", "http://evil.com")]);
        assert_eq!(refusal(all.check(&foreign, tcp())), 421, "the name is still asked for");
    }

    #[test]
    fn what_is_no_api_takes_any_type() {
        let fields = [("Host", "localhost"), ("Origin", NAMED), ("Content-Type", "text/plain")];
        let asked = request(Method::Post, &fields);
        assert_eq!(refusal(access().admit(&asked, tcp())), 0);
        assert_eq!(refusal(access().check(&asked, tcp())), 415);
        let foreign = request(Method::Post, &[("Host", "localhost"), ("Origin", "http://a.b")]);
        assert_eq!(refusal(access().admit(&foreign, tcp())), 403);
    }

    #[test]
    fn only_named_origins_are_told_what_they_may() {
        let fields = [("Host", "localhost"), ("Origin", NAMED)];
        let told = access().check(&request(Method::Options, &fields), tcp()).expect("a preflight");
        let value = |wanted| {
            let found = told.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(value("Access-Control-Allow-Origin"), NAMED);
        assert_eq!(value("Vary"), "Origin");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            assert!(value("Access-Control-Allow-Methods").split(", ").any(|m| m == method));
        }
        for header in ["Content-Type", "X-Api-Key"] {
            assert!(value("Access-Control-Allow-Headers").split(", ").any(|h| h == header));
        }
        let own = [("Host", "localhost"), ("Origin", "http://localhost")];
        let told = access().check(&request(Method::Get, &own), tcp());
        assert_eq!(told, Ok(Vec::new()), "nothing to tell");
    }

    #[test]
    fn a_browser_changes_things_with_json_alone() {
        let own = ("Origin", "http://localhost");
        let host = ("Host", "localhost");
        for method in [Method::Post, Method::Put] {
            for (kind, status) in [
                ("application/json", 0),
                ("Application/JSON; charset=utf-8", 0),
                ("text/plain", 415),
                ("application/x-www-form-urlencoded", 415),
                ("multipart/form-data; x=application/json", 415),
                ("application/jsonp", 415),
                ("", 415),
            ] {
                for browser in [own, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "cors")] {
                    let asked = request(method, &[host, browser, ("Content-Type", kind)]);
                    assert_eq!(refusal(access().check(&asked, tcp())), status, "{kind:?}");
                }
                let plain = request(method, &[host, ("Content-Type", kind)]);
                assert_eq!(refusal(access().check(&plain, tcp())), 0, "no browser sent {kind:?}");
            }
            assert_eq!(refusal(access().check(&request(method, &[host, own]), UNIX)), 415);
            assert_eq!(refusal(access().check(&request(method, &[host]), tcp())), 0);
        }
        // What a named origin is refused, it may read.
        let named = request(Method::Post, &[host, ("Origin", NAMED)]);
        let answer = access().check(&named, tcp()).expect_err("no JSON");
        assert!(answer.headers.iter().any(|(name, _)| *name == "Access-Control-Allow-Origin"));
    }
}
