//! `[webhooks]`: which events go where. A key is the name of an event, how names begin, or `.` for all; its
//! value is an address, or several with blanks between them.

use super::host;
use super::ini_jobs::Table;
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::node::webhooks::{event_name, Hook, Hooking};
use crate::wire::webhook::Url;

/// Reads the section.
///
/// # Errors
/// What is wrong, with file and line. An address may be a secret, and is not told.
pub fn read(table: &Table) -> Result<Vec<Hook>, String> {
    let entries = table.section("webhooks").into_iter().flat_map(|section| section.entries());
    let mut hooks = Vec::new();
    let mut addresses = SortedSet::new();
    for entry in entries.filter(|entry| !entry.inherited) {
        let place = &entry.place;
        let key = entry.raw_key.trim();
        let event = event_name(key).map_err(|error| format!("{place}: {key}: {error}"))?;
        if entry.value.trim().is_empty() {
            return Err(format!("{place}: {key}: its value is empty"));
        }
        for (number, word) in (1..).zip(entry.value.split_whitespace()) {
            let url = Url::read(word);
            let url = url.map_err(|error| format!("{place}: {key}: address {number}: {error}"))?;
            addresses.insert(url.id());
            if addresses.len() > limits::WEBHOOKS {
                let most = limits::WEBHOOKS;
                return Err(format!("{place}: {key}: more than {most} addresses in [webhooks]"));
            }
            hooks.push(Hook { event: event.clone(), url, place: place.clone() });
        }
    }
    Ok(hooks)
}

/// What is so by that, with the name of this host, and this many messages that wait for one address.
pub(super) fn of(hooks: &[Hook], queue: Option<usize>) -> Hooking {
    let node = host::name().unwrap_or_else(|_| "localhost".into());
    Hooking { node, hooks: hooks.to_vec(), queue }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut table = Table::default();
        table.add("g.ini", text).expect("an INI file");
        let hooks = read(&table)?;
        Ok(hooks.iter().map(|hook| (hook.event.clone(), hook.url.text().to_owned())).collect())
    }

    #[test]
    fn a_key_is_the_name_of_events_and_its_value_where_they_go() {
        let pair = |event: &str, url: &str| (event.to_owned(), url.to_owned());
        let text = "[webhooks]\n. = http://a/\njob.Web. = http://b/?x=%%20 http://c:1/\n\
            \x20 http://d/\nproc: http://a/\n[DEFAULT]\nother = 1\n";
        assert_eq!(
            hooks(text),
            Ok(vec![
                pair("", "http://a/"),
                pair("job.Web", "http://b/?x=%20"),
                pair("job.Web", "http://c:1/"),
                pair("job.Web", "http://d/"),
                pair("proc", "http://a/"),
            ])
        );
        assert_eq!(hooks(""), Ok(vec![]));
    }

    #[test]
    fn faults_have_their_place_and_tell_no_address() {
        for (text, message) in [
            ("a = ", "g.ini:2: a: its value is empty"),
            ("a = http://x/ ftp://secret", "g.ini:2: a: address 2: expected http://HOST"),
            ("a b = http://x/", "g.ini:2: a b: expected the name of an event,"),
        ] {
            let error = hooks(&format!("[webhooks]\n{text}\n")).expect_err("wrong");
            assert!(error.starts_with(message) && !error.contains("secret"), "{error}");
        }
        let many = |count: usize| {
            let urls: Vec<String> = (0..count).map(|n| format!("http://h/{n}")).collect();
            hooks(&format!("[webhooks]\na = {}\n", urls.join(" ")))
        };
        assert!(many(limits::WEBHOOKS).is_ok());
        assert!(many(limits::WEBHOOKS + 1).is_err_and(|error| error.contains("more than 32")));
    }
}
