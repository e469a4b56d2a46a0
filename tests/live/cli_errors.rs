//! The command line where something is not as it should be: what it says then, and how it ends.

use serde_json::json;

use super::cli::{does, gaffer, json_of, site};
use super::node::Folder;
use super::until::until;

#[test]
fn events_under_a_name_that_none_has_are_refused() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    let said = gaffer(&node, &here, &["events", "strat"]);
    assert_eq!(said.code, 2);
    let begin =
        "gaffer: no event's name begins with \"strat\"; did you mean start? (they begin with ";
    assert!(said.err.starts_with(begin), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1);
}

#[test]
fn an_overview_is_of_the_node_unless_an_application_is_named() {
    let node = Folder::new().start();
    let site = site(&node);
    node.run_job(&json!({"name": "other", "cmd": "sleep 1003"}));
    does(&node, &site, &["load", "--nostart"]);
    let here = node.path("").display().to_string();
    let names =
        |folder: &str, line: &[&str]| does(&node, folder, &[line, &["-o", "name"]].concat());
    assert_eq!(names(&here, &["ps"]), "t.other.1\nsite.web\nsite.cat\n");
    assert_eq!(names(&here, &["ps", "*"]), "t.other.1\nsite.web\nsite.cat\n");
    assert_eq!(names(&here, &["ps", "?at", "oth*"]), "site.cat\nt.other.1\n");
    assert_eq!(names(&site, &["ps", "*"]), "site.web\nsite.cat\n");
    for (line, missing) in [(["ps", "-d", "nodir"], "nodir/Procfile"), (["ps", "-f", "no"], "no")] {
        let said = gaffer(&node, &here, &line);
        let expected = format!("gaffer: procfile not found: {missing}\n");
        assert_eq!((said.code, said.err), (1, expected));
    }
}

#[test]
fn a_one_off_is_shown_beside_its_job_and_takes_nobodys_number() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load", "--nostart"]);
    does(&node, &site, &["run", "web"]);
    until("it runs", || {
        let rows = &json_of(&node, &site, &["ps", "web"])[0];
        rows[1]["state"] == "running"
    });
    let rows = &json_of(&node, &site, &["ps", "web"])[0];
    assert_eq!((&rows[0]["instance"], &rows[0]["once"]), (&json!(null), &json!(false)), "{rows}");
    assert_eq!((&rows[1]["state"], &rows[1]["once"]), (&json!("running"), &json!(true)), "{rows}");
    let shown = does(&node, &site, &["ps", "web"]);
    let numbers: Vec<&str> =
        shown.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(numbers, ["#", "-", "1*"], "{shown}");
    let pid = rows[1]["pid"].to_string();
    assert_eq!(does(&node, &site, &["ps", "web", "-o", "name"]), format!("site.web\n{pid}\n"));
}
