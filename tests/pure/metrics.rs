//! Metrics: what is written can be read again, by a reader that takes nothing but what the formats allow; what a node
//! tells is what is written down; and the dashboard asks for nothing else.

use std::collections::{BTreeMap, BTreeSet};

use gaffer::base::limits;
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::metrics::families::ALL;
use gaffer::wire::openmetrics::{Dialect, Exposition, Family, Kind, Labels};
use proptest::prelude::*;
use serde_json::Value;

use crate::api_traces::file_job;
use crate::driven::Driven as _;
use crate::fake_node::FakeNode;

/// A metric: its whole name, its labels, its number.
type Sample = (String, Vec<(String, String)>, f64);

/// A family as it was read.
#[derive(Debug, PartialEq)]
struct Read {
    name: String,
    kind: String,
    help: String,
    samples: Vec<Sample>,
}

/// Reads a text of metrics, which has to be as this dialect wants it.
fn read(text: &str, dialect: Dialect) -> Result<Vec<Read>, String> {
    let body = match dialect {
        Dialect::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("there is no end")?,
        Dialect::Text => text,
    };
    let lines = body.strip_suffix('\n').ok_or("the last line has no end")?.split('\n');
    let mut families: Vec<Read> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        let Some(told) = line.strip_prefix("# ") else {
            let family = families.last_mut().ok_or("a metric of no family")?;
            let sample = sample(line)?;
            if !belongs(family, &sample, dialect) {
                return Err(format!("{line} is none of {} {}", family.kind, family.name));
            }
            if !seen.insert((sample.0.clone(), sample.1.clone())) {
                return Err(format!("{line} stands twice"));
            }
            family.samples.push(sample);
            continue;
        };
        let mut words = told.splitn(3, ' ');
        let mut word = || words.next().ok_or(format!("{line} is cut"));
        let (what, name, value) = (word()?, word()?, word()?);
        if what == "HELP" {
            if families.iter().any(|family| family.name == name) {
                return Err(format!("{name} is described twice"));
            }
            let help = unescape(value, dialect == Dialect::OpenMetrics)?;
            let (name, kind) = (name.to_owned(), String::new());
            families.push(Read { name, kind, help, samples: Vec::new() });
            continue;
        }
        let family = families.last_mut().filter(|family| family.name == name);
        let family = family.ok_or(format!("{line}: of another family"))?;
        match what {
            "TYPE" if family.kind.is_empty() && family.samples.is_empty() => {
                family.kind = value.to_owned();
            }
            "UNIT" if dialect == Dialect::OpenMetrics && name.ends_with(&format!("_{value}")) => {}
            _ => return Err(format!("{line}: what is that?")),
        }
    }
    Ok(families)
}

/// Whether a metric may be one of this family.
fn belongs(family: &Read, (name, labels, number): &Sample, dialect: Dialect) -> bool {
    let Some(rest) = name.strip_prefix(family.name.as_str()) else { return false };
    let le = labels.iter().any(|(name, _)| name == "le");
    match (family.kind.as_str(), dialect) {
        ("gauge", _) => rest.is_empty() && !le,
        ("counter", Dialect::OpenMetrics) => rest == "_total" && *number >= 0.0,
        ("counter", Dialect::Text) => rest.is_empty() && name.ends_with("_total"),
        ("info", Dialect::OpenMetrics) => rest == "_info" && *number == 1.0,
        ("histogram", _) => {
            ["_bucket", "_sum", "_count"].contains(&rest) && le == (rest == "_bucket")
        }
        _ => false,
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let bad = || format!("{line} is no metric");
    let name_end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or_else(bad)?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(bad)?;
            if label.is_empty() || !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(bad());
            }
            let mut escaped = false;
            let end = after.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let (value, after) = after.split_at(end.ok_or_else(bad)?);
            labels.push((label.to_owned(), unescape(value, true)?));
            match after.strip_prefix("\",") {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix("\"}").ok_or_else(bad)?;
                    break;
                }
            }
        }
    }
    let number = rest.strip_prefix(' ').ok_or_else(bad)?;
    let number = number.parse().map_err(|_| bad())?;
    Ok((name.to_owned(), labels, number))
}

/// Takes the escapes out of a text, of which there are three, or two.
fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let (mut out, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\\') => out.push('\\'),
                Some('n') => out.push('\n'),
                Some('"') if quotes => out.push('"'),
                other => return Err(format!("{other:?} is no escape in {text}")),
            },
            '"' if quotes => return Err(format!("a quote stands in {text}")),
            other => out.push(other),
        }
    }
    Ok(out)
}

const HELP: &str = "What\nit \"is\": \\.";
const FAMILIES: [Family; 3] = [
    Family::new(Kind::Gauge, "a_bytes", HELP),
    Family::new(Kind::Counter, "b_seconds", HELP),
    Family::new(Kind::Info, "c", HELP),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(
        values in proptest::collection::btree_set(any::<String>(), 1..5),
        numbers in proptest::collection::vec(0.0..1e18_f64, 5),
        whole in any::<u32>(),
    ) {
        for dialect in [Dialect::OpenMetrics, Dialect::Text] {
            let mut out = Exposition::new(dialect, 0);
            let mut expected = Vec::new();
            for family in FAMILIES {
                out.family(family);
                for (value, number) in values.iter().zip(&numbers) {
                    let number = match family.kind {
                        Kind::Info => 1.0,
                        Kind::Gauge | Kind::Counter | Kind::Histogram => *number,
                    };
                    let labels = Labels::new(&[("session", value), ("job", "x")]);
                    out.sample(&labels, &[("state", value)], number);
                    let name = format!("{}{}", family.name, family.suffix());
                    let of = |label: &str, value: &str| (label.to_owned(), value.to_owned());
                    let labels = vec![of("session", value), of("job", "x"), of("state", value)];
                    expected.push((name, labels, number));
                }
            }
            out.family(Family::new(Kind::Gauge, "d", HELP));
            out.plain(whole);
            expected.push(("d".to_owned(), Vec::new(), f64::from(whole)));
            let text = String::from_utf8(out.finish()).expect("text");
            let read = read(&text, dialect).map_err(TestCaseError::fail)?;
            prop_assert!(read.iter().all(|family| family.help == HELP));
            let samples: Vec<Sample> = read.into_iter().flat_map(|family| family.samples).collect();
            prop_assert_eq!(samples, expected);
        }
    }
}

#[test]
fn the_reader_takes_nothing_else() {
    let head = "# HELP a x\n# TYPE a gauge\n";
    for bad in [
        "a 1",
        "a{b=\"c\"} 1 \n",
        "a{b=\"c\",} 1\n",
        "a{b=\"\\x\"} 1\n",
        "a{b=\"c\"}1\n",
        "a_total 1\n",
        "b 1\n",
        "a 1\na 1\n",
        "a 1\n# TYPE a gauge\n",
        "# HELP a x\n",
    ] {
        assert!(read(&format!("{head}{bad}"), Dialect::Text).is_err(), "{bad}");
    }
    assert!(read(&format!("{head}a 1\n"), Dialect::OpenMetrics).is_err());
    assert!(read(&format!("{head}a 1\n# EOF\n"), Dialect::OpenMetrics).is_ok());
}

fn node(jobs: &[String]) -> FakeNode {
    let files = jobs.iter().map(|job| file_job(job)).collect();
    FakeNode::new(Access::default(), Console::default(), Legacy::default(), files)
}

/// What a node answers to who asks for metrics in this dialect.
fn scraped(node: &mut FakeNode, dialect: Dialect) -> Vec<Read> {
    let accept = match dialect {
        Dialect::OpenMetrics => "application/openmetrics-text",
        Dialect::Text => "text/plain",
    };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    let conn = node.connect_tcp();
    node.send(conn, request.as_bytes(), &mut || usize::MAX);
    let text = String::from_utf8(node.take_answer(conn)).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    node.vanish(conn);
    read(body, dialect).expect("metrics")
}

fn numbers(read: &[Read], name: &str) -> Vec<f64> {
    let of_name = read.iter().flat_map(|family| &family.samples).filter(|(n, ..)| n == name);
    of_name.map(|(_, _, number)| *number).collect()
}

#[test]
fn a_node_tells_all_that_is_written_down_in_its_order() {
    let mut node = node(&[r#"s.web {"cmd": "serve"}"#.to_owned()]);
    for dialect in [Dialect::OpenMetrics, Dialect::Text] {
        let read = scraped(&mut node, dialect);
        let expected = ALL.iter().map(|family| match dialect {
            Dialect::OpenMetrics => family.name.to_owned(),
            Dialect::Text => format!("{}{}", family.name, family.suffix()),
        });
        let names: Vec<String> = read.iter().map(|family| family.name.clone()).collect();
        assert_eq!(names, expected.collect::<Vec<_>>());
        assert!(read.iter().all(|family| !family.samples.is_empty()));
        // Only a job's names are not of a closed list, and none names a process.
        let labels: BTreeSet<&str> = read
            .iter()
            .flat_map(|family| &family.samples)
            .flat_map(|(_, labels, _)| labels.iter().map(|(name, _)| name.as_str()))
            .collect();
        let known = [
            "cause",
            "class",
            "job_name",
            "le",
            "session",
            "state",
            "stream",
            "transport",
            "use",
            "version",
        ];
        assert_eq!(labels, BTreeSet::from(known));
    }
}

#[test]
fn jobs_are_told_one_by_one_up_to_the_cap() {
    for beyond in [0, 1] {
        let job = |n: usize| format!(r#"s.j{n} {{"cmd": "a", "start": false}}"#);
        let jobs: Vec<String> = (0..limits::METRICS_JOBS + beyond).map(job).collect();
        let mut node = node(&jobs);
        let read = scraped(&mut node, Dialect::OpenMetrics);
        let told = numbers(&read, "gaffer_job_target_instances").len();
        assert_eq!(told, limits::METRICS_JOBS);
        let count = |number: usize| u32::try_from(number).map(f64::from).expect("few");
        assert_eq!(numbers(&read, "gaffer_jobs_left_out"), [count(beyond)]);
        assert_eq!(numbers(&read, "gaffer_jobs").iter().sum::<f64>(), count(jobs.len()));
    }
}

#[test]
fn what_is_asked_behind_metrics_is_answered_behind_them() {
    let mut node = node(&[r#"s.web {"cmd": "serve"}"#.to_owned()]);
    let counted =
        |node: &mut FakeNode| numbers(&scraped(node, Dialect::Text), "gaffer_waiting_requests");
    assert_eq!(counted(&mut node), [0.0]);
    let conn = node.connect_tcp();
    node.send(conn, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n", &mut || usize::MAX);
    let text = String::from_utf8(node.take_answer(conn)).expect("text");
    assert_eq!(
        text.matches("HTTP/1.1 200 OK").count(),
        2,
        "what stands behind it is answered, too"
    );
    node.vanish(conn);
    assert_eq!(counted(&mut node), [0.0]);
}

/// The names of metrics in what a dashboard asks for: words that begin as ours do.
fn asked(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("gaffer_") || word.starts_with("process_"))
}

/// All texts of these members of an object, however deep.
fn texts<'a>(value: &'a Value, members: &[&str], out: &mut Vec<&'a str>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                match value.as_str() {
                    Some(text) if members.contains(&name.as_str()) => out.push(text),
                    Some(_) | None => texts(value, members, out),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| texts(value, members, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = include_str!("../../src/dashboard/grafana.json");
    let dashboard: Value = serde_json::from_str(text).expect("JSON");
    let known: BTreeMap<String, &Family> = ALL
        .iter()
        .flat_map(|family| {
            let name = format!("{}{}", family.name, family.suffix());
            let parts: &[&str] = match family.kind {
                Kind::Histogram => &["_bucket", "_sum", "_count"],
                Kind::Gauge | Kind::Counter | Kind::Info => &[""],
            };
            parts.iter().map(move |part| (format!("{name}{part}"), family))
        })
        .collect();
    let mut queries = Vec::new();
    texts(&dashboard, &["expr", "query", "definition"], &mut queries);
    assert!(queries.len() > 20, "only {} queries", queries.len());
    for query in &queries {
        for name in asked(query) {
            assert!(known.contains_key(name), "{name} in {query}");
        }
    }
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<&str> = variables.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["instance", "session", "job"]);
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
}
