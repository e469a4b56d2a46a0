//! The INI parser against CPython's configparser: the same values, and errors at the same lines.
//! The answers are kept in `tests/golden/ini`, beside the script that asks Python for them.

use gaffer::wire::ini;
use serde_json::Value;

const CASES: &str = include_str!("../golden/ini/cases.json");

/// Sections with their items sorted by key, in the form of the oracle's answers.
fn answer(text: &str) -> Result<Value, usize> {
    let ini = ini::parse(text).map_err(|error| error.line)?;
    let sections = ini.sections.iter().map(|section| {
        let mut items: Vec<_> = section.entries.iter().map(|e| (&e.key, &e.value)).collect();
        items.sort();
        serde_json::json!([section.name, items])
    });
    Ok(sections.collect())
}

/// What is wrong with our answer to a case, if anything is.
fn difference(case: &Value) -> Option<String> {
    let text = case["text"].as_str().expect("a case has a text");
    match (answer(text), case.get("sections")) {
        (Ok(ours), Some(theirs)) if ours == *theirs => None,
        (Err(ours), None) if case["line"].as_u64().is_none_or(|line| line == ours as u64) => None,
        (ours, theirs) => Some(format!("ours {ours:?}, Python's {theirs:?} of {case}")),
    }
}

#[test]
fn answers_are_those_of_configparser() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("cases.json is JSON");
    assert!(cases.len() > 40, "the corpus is there");
    let differences: Vec<String> = cases.iter().filter_map(difference).collect();
    assert_eq!(differences, [] as [String; 0]);
}
