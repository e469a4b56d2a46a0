//! Pages of text: the keys, how a job's runs ended, what the node tells of a job.

use serde_json::Value;

/// Lines around a page: its title, and the line of keys.
pub const AROUND: u16 = 2;

/// The keys, as they are shown and as the README has them.
pub const KEYS: [(&str, &str); 16] = [
    ("Up Down, j k", "select; PgUp PgDn Home End, g G go further"),
    ("Enter", "the output of the selected instance on the whole screen"),
    ("Tab", "the lower part: output, events or nothing"),
    ("e", "of the output only what is not of the first stream"),
    ("/", "only rows with this in their name, state or note; Esc ends it"),
    ("s", "sort: cpu, mem, restarts, up, state, job, the node's order"),
    ("r", "restart the job's instances, one after the other"),
    ("x", "stop the job; a one-off: its process"),
    ("S", "start the job"),
    ("+ -", "scale the job; again for more"),
    ("t", "send a signal to the process, or to all of the job"),
    ("d", "how the job's last runs ended, with their last lines"),
    ("i", "all that the node tells of the job"),
    ("^L", "draw the screen again"),
    ("? h", "this"),
    ("q ^C", "leave; ^Z suspends"),
];

/// The page of keys.
pub fn help() -> Vec<String> {
    let keys = KEYS.iter().map(|(key, does)| format!("  {key:<14}{does}"));
    let notes = [
        "",
        "Nothing of r x S + - t is done before y; n or Esc leaves it.",
        "On a page: q back; of output: w wraps long lines, f follows the end again.",
        "CPU% is of one core; a bar of it is full at 100, or at the most that is seen.",
        "If top was killed with SIGKILL and the terminal is strange, type: reset",
    ];
    keys.chain(notes.map(str::to_owned)).collect()
}

/// What the node tells of a job.
pub fn info(info: &Value) -> Vec<String> {
    let text = serde_json::to_string_pretty(info).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// How runs ended, newest first.
pub fn deaths(deaths: &Value, time: fn(f64) -> String) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for death in deaths.as_array().into_iter().flatten() {
        let at = death["ended_at"].as_f64().map(time).unwrap_or_default();
        let number = &death["instance"];
        let summary = match text(death, "summary") {
            // A node of before.
            none if none.is_empty() => text(death, "reason"),
            summary => summary,
        };
        lines.push(format!("{at} #{number} process {}: {summary}", death["pid"]));
        let last = death["last_lines"].as_array().into_iter().flatten();
        lines.extend(last.filter_map(Value::as_str).map(|line| format!("         | {line}")));
    }
    if lines.is_empty() {
        lines.push("none of its runs has ended".into());
    }
    lines
}
