//! `gaffer top` on a real terminal against a real node: what is seen, what keys do, and that the terminal
//! is as it was before, however it ends.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::node::{context_switches, Folder, Node, HUP, INT, TERM};
use super::procs;
use super::pty::{flags, Pty};
use super::until::{all_along, until};

const GAFFER: &str = env!("CARGO_BIN_EXE_gaffer");
const QUIT: i32 = 3;

/// A command line for a node, by its unix socket.
fn line(node: &Node, words: &[&str]) -> Vec<String> {
    let address = format!("unix:{}", node.folder().text("s"));
    let words = words.iter().map(|word| (*word).to_owned());
    [GAFFER.to_owned(), "-g".into(), address].into_iter().chain(words).collect()
}

/// `top` on a terminal, once it shows something.
fn top(node: &Node, env: &[(&str, &str)]) -> Pty {
    let line = line(node, &["top"]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut pty = Pty::start(&node.path(""), &line, env);
    pty.until_on_other_screen(true);
    pty
}

fn job(name: &str, script: &str) -> serde_json::Value {
    json!({"name": name, "cmd": "sh", "args": ["-c", script], "redirect_output": ["out", "err"]})
}

#[test]
fn jobs_are_seen_and_keys_act_once_they_are_confirmed() {
    let node = Folder::new().start();
    node.run_job(&job("web", "echo hello from $$$$; exec sleep 1000"));
    let mut top = top(&node, &[]);
    top.until_shown(">web.1");
    top.until_shown("● running");
    top.until_shown("hello from");
    let pids = || node.os_pids("/jobs/t/web");
    let before = pids();
    top.press("r");
    top.until_shown("Restart t.web, one instance after the other?");
    assert_eq!(pids(), before, "not before it is confirmed");
    top.press("y");
    until("it has another process", || pids().len() == 1 && pids() != before);
    top.until_shown("process 1 is over");
    top.press("+");
    top.until_shown("Scale t.web from 1 to 2?");
    top.press("y");
    top.until_shown(" web.2");
    until("two run", || pids().len() == 2);
    top.press("\x1b[Bt\x1b[A\r");
    top.until_shown("Send KILL to process 3 of t.web.2?");
    top.press("y");
    until("it was killed", || {
        !node.deaths("/jobs/t/web").is_empty() && node.deaths("/jobs/t/web")[0]["term_signal"] == 9
    });
    top.press("xy");
    top.until_shown("■ stopped");
    assert_eq!(node.get("/jobs/t/web/state"), json!(0));
    top.press("Sy");
    until("it runs", || node.get("/jobs/t/web/state") == json!(1));
    top.press("d");
    top.until_shown("killed by SIGKILL");
    top.press("\x1b");
    top.until_shown("NOTE");
    // What comes later is seen, too, and what goes is not.
    node.run_job(&job("later", "exec sleep 1000"));
    top.until_shown("later.1");
    node.does("DELETE", "/jobs/t/later?wait=stopped", "");
    until("it is gone", || !top.text().contains("later.1"));
    top.press("q");
    assert_eq!(top.ended(), Some(0));
    until("nobody follows anything", || {
        let counters = node.get("/debug/counters");
        counters["subscriptions"] == 0 && counters["stats_watches"] == 0
    });
}

#[test]
fn every_end_leaves_the_terminal_as_it_was() {
    let node = Folder::new().start();
    node.run_job(&job("web", "exec sleep 1000"));
    for (signal, keys, code) in [
        (None, "q", 0),
        (None, "\x03", 130),
        (None, "\x1c", 131),
        (Some(INT), "", 130),
        (Some(TERM), "", 143),
        (Some(HUP), "", 129),
        (Some(QUIT), "", 131),
    ] {
        let line = line(&node, &["top"]);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut pty = Pty::start(&node.path(""), &line, &[]);
        let before = pty.before.clone();
        pty.until_on_other_screen(true);
        pty.until_shown("web.1");
        assert!(pty.screen().hide_cursor() && pty.screen().bracketed_paste());
        assert_ne!(flags(&pty.modes()), flags(&before));
        pty.press(keys);
        if let Some(signal) = signal {
            procs::kill(pty.os_pid(), signal);
        }
        assert_eq!(pty.ended(), Some(code), "{keys:?} {signal:?}");
        assert_eq!(flags(&pty.modes()), flags(&before), "{keys:?} {signal:?}");
        let screen = pty.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!((screen.contents(), screen.cursor_position()), ("before".into(), (1, 0)));
    }
}

#[test]
fn a_shell_suspends_it_and_has_it_go_on() {
    let node = Folder::new().start();
    node.run_job(&job("web", "exec sleep 1000"));
    let words = line(&node, &["top"]).join(" ");
    let script = format!("{words}; echo \"stopped $?\"; read x; fg; echo \"ended $?\"");
    let mut pty = Pty::start(&node.path(""), &["bash", "-mc", &script], &[]);
    pty.until_on_other_screen(true);
    pty.until_shown("web.1");
    pty.press("\x1a");
    pty.until_on_other_screen(false);
    pty.until_shown("stopped");
    let modes = pty.modes().local_modes;
    assert!(modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO));
    assert!(!pty.screen().hide_cursor());
    pty.press("go on\r");
    pty.until_on_other_screen(true);
    pty.until_shown("web.1");
    pty.press("q");
    pty.until_shown("ended 0");
    assert!(
        pty.text().starts_with("before\n") && pty.text().contains("\nstopped"),
        "{}",
        pty.text()
    );
    assert_eq!(pty.ended(), Some(0));
}

#[test]
fn what_was_sent_to_the_background_can_be_ended_there() {
    let node = Folder::new().start();
    let words = line(&node, &["top"]).join(" ");
    let script = format!("{words}; echo \"stopped $?\"; bg; read x; kill %1; read x");
    let mut pty = Pty::start(&node.path(""), &["bash", "-mc", &script], &[]);
    pty.until_on_other_screen(true);
    pty.press("\x1a");
    pty.until_shown("stopped");
    let top = procs::children(pty.os_pid())[0];
    let before = flags(&pty.modes());
    pty.press("on\r");
    until("it ends", || {
        pty.screen();
        !procs::exists(top)
    });
    assert_eq!(flags(&pty.modes()), before);
    assert!(!pty.screen().alternate_screen());
    pty.press("\r");
    assert!(pty.ended().is_some());
}

#[test]
fn it_fills_the_terminal_at_every_size() {
    let node = Folder::new().start();
    node.run_job(&job("web", "exec sleep 1000"));
    let mut top = top(&node, &[]);
    top.until_shown("web.1");
    for (columns, rows) in [(120, 40), (20, 5), (200, 12), (80, 24)] {
        top.resize(columns, rows);
        until("the last line has the keys", || {
            let text = top.text();
            let lines: Vec<&str> = text.lines().collect();
            let widest = lines.iter().map(|line| line.chars().count()).max();
            let whole = lines.len() == usize::from(rows) && widest <= Some(usize::from(columns));
            whole
                && lines[0].starts_with("gaffer top")
                && lines[lines.len() - 1].starts_with("? help")
        });
    }
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let node = Folder::new().start();
    let mut quiet = job("quiet", "exec sleep 1000");
    quiet["start"] = json!(false);
    node.does("POST", "/jobs/t", &quiet.to_string());
    let mut top = top(&node, &[]);
    top.until_shown("■ stopped");
    top.until_shown("no process");
    let beats = |top: &mut Pty, count: u64| {
        let before = context_switches(top.os_pid());
        until("some of its seconds pass", || context_switches(top.os_pid()) >= before + count);
    };
    beats(&mut top, 2);
    top.screen();
    let written = top.written;
    beats(&mut top, 4);
    top.screen();
    assert_eq!(top.written, written);
    top.press("s");
    top.until_shown("by cpu");
    assert!(top.written > written && top.written < written + 100, "only what changed");
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn output_steers_nothing_and_a_plain_terminal_gets_plain_text() {
    let node = Folder::new().start();
    let script = "printf '\\033]0;owned\\007\\033[?1049l\\033[2J\\302\\2332J gr\\303\\266\\303\\237e\\n'; exec sleep 1000";
    node.run_job(&job("web", script));
    let mut top = top(&node, &[("LANG", "C"), ("NO_COLOR", "1")]);
    top.until_shown("^[]0;owned^G^[[?1049l^[[2J<9b>2J gr??e");
    top.until_shown("* running");
    let screen = top.screen();
    assert!(screen.alternate_screen());
    assert_eq!(screen.title(), "");
    let bytes = top.bytes();
    assert!(bytes.is_ascii());
    let text = String::from_utf8_lossy(bytes).into_owned();
    assert!(
        !["\x1b[0;3", "\x1b[0;1", "\x1b[0;2"].iter().any(|color| text.contains(color)),
        "no colours"
    );
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn a_node_that_goes_is_told_and_found_again() {
    let mut node = Folder::new().start();
    node.run_job(&job("web", "exec sleep 1000"));
    let mut top = top(&node, &[]);
    top.until_shown("● running");
    node.stop();
    top.until_shown("disconnected since ");
    top.until_shown("? unknown");
    assert!(!top.text().contains("running"), "{}", top.text());
    node.start_again();
    top.until_shown("● running");
    assert!(!top.text().contains("disconnected"), "{}", top.text());
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let node = Folder::new().start();
    let words = line(&node, &["top"]).join(" ");
    // Who leads the session hears of it, and says nothing.
    let script = format!("trap '' HUP; {words}; echo $? > code");
    let mut pty = Pty::start(&node.path(""), &["sh", "-c", &script], &[]);
    pty.until_on_other_screen(true);
    pty.take_away();
    until("it has ended", || node.read("code") == "129\n");
}

#[test]
fn where_there_is_no_terminal_it_says_what_to_do_instead() {
    let node = Folder::new().start();
    let line = line(&node, &["top"]);
    let output = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        said,
        "gaffer: top needs a terminal to draw on; gaffer ps -w and gaffer stats print lines, and JSON\n"
    );
    assert!(output.stdout.is_empty());
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut dumb = Pty::start(&node.path(""), &line, &[("TERM", "dumb")]);
    assert_eq!(dumb.ended(), Some(2));
    assert!(!dumb.bytes().contains(&0x1b));
}

#[test]
fn gafferd_has_nothing_of_the_terminal_library() {
    let has = |program: &str, word: &str| {
        let bytes = fs::read(program).expect("it is built");
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    // Symbols are there unless they are stripped, and the places of panics where nothing else is.
    let names = if cfg!(debug_assertions) { "7ratatui" } else { "ratatui-" };
    for word in ["[?1049h", names] {
        assert!(has(GAFFER, word), "{word}: this test looks for the wrong thing");
        for daemon in [env!("CARGO_BIN_EXE_gafferd"), env!("CARGO_BIN_EXE_gaffer_lookupd")] {
            assert!(!has(daemon, word), "{daemon} has {word}");
        }
    }
}

#[test]
fn it_rests_while_the_node_is_gone() {
    let mut node = Folder::new().start();
    let mut top = top(&node, &[]);
    node.stop();
    top.until_shown("disconnected since ");
    let before = context_switches(top.os_pid());
    all_along(Duration::from_secs(2), "it runs", || procs::exists(top.os_pid()));
    let switches = context_switches(top.os_pid()) - before;
    assert!(switches < 40, "{switches} times awake in two seconds");
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}
