//! Webhooks on the wire: where one is, what signs what is sent there, and the fields of a request. Names and
//! signature are those of Standard Webhooks (its specification, version 1), for which there are libraries
//! in most languages:
//!
//! - `Webhook-Id`: the message, the same however often it is sent
//! - `Webhook-Timestamp`: when it is sent, in seconds since 1970
//! - `Webhook-Signature`: `v1,` and the base64 of the HMAC-SHA256 of id, timestamp and body, with dots between
//!   them; several stand behind each other with blanks between them

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::base::address::Address;
use crate::base::limits;

/// What stands for what is not told.
const MASK: &str = "********";
/// What a secret begins with whose key follows in base64.
const PREFIX: &str = "whsec_";

/// Where a webhook is.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// As it was given.
    text: String,
    /// Who is connected to.
    pub address: Address,
    /// The path and the query.
    pub target: String,
    /// A user and a password, as `Authorization` says them.
    pub basic: Option<String>,
}

impl Url {
    /// Reads one: `http://` or `https://`, perhaps with a user and a password.
    ///
    /// # Errors
    /// It is none, in words that tell nothing of it.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > limits::WEBHOOK_URL {
            return Err(format!("an address has at most {} bytes", limits::WEBHOOK_URL));
        }
        let wrong = || "expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH".to_owned();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return Err(wrong());
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" if !cfg!(feature = "tls") => return Err("this build speaks no TLS".into()),
            "https" => true,
            _ => return Err(wrong()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = place(host, if is_tls { 443 } else { 80 }).ok_or_else(wrong)?;
        let target = if target.starts_with('/') { target.into() } else { format!("/{target}") };
        let basic = user.map(|user| BASE64.encode(&plain(user)));
        let address =
            if is_tls { Address::Tls { host, port } } else { Address::Tcp { host, port } };
        Ok(Self { text: text.to_owned(), address, target, basic })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands in the `Host` field: without a port where that goes without saying.
    pub fn host(&self) -> String {
        let host = self.address.host();
        let usual = match &self.address {
            Address::Tcp { .. } => ":80",
            Address::Tls { .. } => ":443",
            Address::Unix(_) => "",
        };
        host.strip_suffix(usual).unwrap_or(&host).to_owned()
    }

    /// What it is called: the same for the same address, and nothing that tells of it.
    pub fn id(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.text.as_bytes())[..6])
    }

    /// Without what may be a secret in it: a user, a password, and what is behind a question mark.
    pub fn shown(&self) -> String {
        let (scheme, rest) = self.text.split_once("://").unwrap_or(("", &self.text));
        let (rest, query) = match rest.split_once('?') {
            Some((rest, _)) => (rest, format!("?{MASK}")),
            None => (rest, String::new()),
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = match authority.rsplit_once('@') {
            Some((_, host)) => format!("{MASK}@{host}"),
            None => authority.to_owned(),
        };
        format!("{scheme}://{host}{path}{query}")
    }
}

/// For the log: a path may be a secret, too.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook {} ({})", self.id(), self.address)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A host, and its port or this one.
fn place(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        Some(port) => Some(port).filter(is_digits)?.parse().ok().filter(|port| *port > 0)?,
        None => default,
    };
    (!host.is_empty() && host.bytes().all(is_plain)).then(|| (host.to_ascii_lowercase(), port))
}

/// Text of an address without its `%XX`.
fn plain(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// What signs messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

impl Secret {
    /// One of these bytes, which nobody can guess.
    pub fn of(key: &[u8]) -> Self {
        Self { text: format!("{PREFIX}{}", BASE64.encode(key)), key: key.to_vec() }
    }

    /// Reads one: `whsec_` and a key in base64, or a text that is itself the key.
    ///
    /// # Errors
    /// It is too short or too long, or no text.
    pub fn read(text: &str) -> Result<Self, String> {
        let (least, most) = limits::WEBHOOK_SECRET;
        let key = match text.strip_prefix(PREFIX) {
            Some(coded) => BASE64.decode(coded.as_bytes()).map_err(|_| {
                format!("behind {PREFIX} a key in base64 is expected, with its = at the end")
            })?,
            None => text.as_bytes().to_vec(),
        };
        let fits = (least..=most).contains(&key.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "expected {PREFIX} and a key of {least} to {most} bytes in base64, or {least} to {most} \
                 characters of ASCII without blanks"
            ));
        }
        Ok(Self { text: text.to_owned(), key })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn sign(&self, message: &Message<'_>, timestamp: u64) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key);
        let mut mac = mac.expect("HMAC takes keys of any length");
        mac.update(format!("{}.{timestamp}.", message.id).as_bytes());
        mac.update(message.body.as_bytes());
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Which it is.
    pub id: &'a str,
    /// Its body.
    pub body: &'a str,
}

/// The fields of the head that are a webhook's own. `dropped` is how many messages there were before this one
/// that are not sent any more; where there are none nothing is said.
pub fn fields(
    url: &Url,
    secrets: &[&Secret],
    message: &Message<'_>,
    timestamp: u64,
    dropped: u64,
) -> String {
    let signed: Vec<String> =
        secrets.iter().map(|secret| secret.sign(message, timestamp)).collect();
    let mut fields = format!(
        "Webhook-Id: {}\r\nWebhook-Timestamp: {timestamp}\r\nWebhook-Signature: {}\r\n",
        message.id,
        signed.join(" ")
    );
    if let Some(basic) = &url.basic {
        fields += &format!("Authorization: Basic {basic}\r\n");
    }
    if dropped > 0 {
        fields += &format!("Gaffer-Dropped: {dropped}\r\n");
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http_and_tells_no_secret() {
        for (text, address, target, shown) in [
            ("http://h", "http://h:80", "/", "http://h"),
            ("HTTP://H:8/", "http://h:8", "/", "HTTP://H:8/"),
            ("http://h?k=v", "http://h:80", "/?k=v", "http://h?********"),
            ("http://u:p@h/x?k", "http://h:80", "/x?k", "http://********@h/x?********"),
            ("http://[::1]:9/a/b", "http://[::1]:9", "/a/b", "http://[::1]:9/a/b"),
            ("http://a@b@h/@x", "http://h:80", "/@x", "http://********@h/@x"),
        ] {
            let url = Url::read(text).expect(text);
            assert_eq!((url.address.to_string(), url.target.as_str()), (address.into(), target));
            assert_eq!((url.shown(), url.text()), (shown.into(), text));
            let host = address.trim_start_matches("http://");
            assert_eq!(url.host(), host.strip_suffix(":80").unwrap_or(host));
            assert_eq!(format!("{url}"), format!("webhook {} ({address})", url.id()));
        }
        let user = Url::read("http://u:p%40ss@h/").expect("sound").basic.expect("a user");
        assert_eq!(BASE64.decode(user.as_bytes()).expect("base64"), b"u:p@ss");
        for wrong in [
            "",
            "h",
            "ftp://h/",
            "http://",
            "http:///x",
            "http://h:x/",
            "http://h:0/",
            "http://h:99999",
            "http://h /",
            "http://h\r\nX: y",
            "http://[::1",
            "http://[x]/",
            "http://h/#a",
            "file:///etc",
            "http://h:1:2/",
            "unix:/s",
            "http://h:+1/",
        ] {
            assert!(Url::read(wrong).is_err(), "{wrong}");
        }
        let long = |length: usize| format!("http://h/{}", "x".repeat(length - 9));
        assert!(Url::read(&long(limits::WEBHOOK_URL)).is_ok());
        assert!(Url::read(&long(limits::WEBHOOK_URL + 1)).is_err());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn over_tls_it_has_a_port_of_its_own() {
        let url = Url::read("https://h/x").expect("sound");
        assert_eq!((url.address.to_string(), url.host()), ("https://h:443".into(), "h".into()));
    }

    #[test]
    fn messages_are_signed_as_the_specification_has_it() {
        // The example of the libraries of Standard Webhooks.
        let secret = Secret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("sound");
        let message =
            Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: r#"{"test": 2432232314}"# };
        let signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(secret.sign(&message, 1_614_265_330), signed);
        let url = Url::read("http://u:p@h/").expect("sound");
        let other = Secret::of(&[7; 32]);
        let fields = fields(&url, &[&other, &secret], &message, 1_614_265_330, 3);
        assert!(
            fields.contains(&format!(" {signed}\r\nAuthorization: Basic dTpw\r\n")),
            "{fields}"
        );
        assert!(fields.ends_with("Gaffer-Dropped: 3\r\n"), "{fields}");
        assert_eq!(Secret::read(other.text()), Ok(other));
    }

    #[test]
    fn a_secret_has_its_length_and_is_told_to_nobody() {
        let (least, most) = limits::WEBHOOK_SECRET;
        let of = |length: usize| [Secret::of(&vec![1; length]).text, "x".repeat(length)];
        for (length, fits) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            assert!(of(length).iter().all(|text| Secret::read(text).is_ok() == fits), "{length}");
        }
        for wrong in ["whsec_????", "sixteen letters and a blank", "whsec_AAAA"] {
            assert!(Secret::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", Secret::of(&[1; 32])), MASK);
    }
}
