//! Jobs that listen as supervisor's event listeners do: programs that people have for it, as they are, and one of
//! a few lines of shell.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use serde_json::json;

use super::clients::tool;
use super::node::{Folder, Node};
use super::until::{until, until_some};

/// A listener without any library: it notes what it is told, a line an event.
const EAR: &str = r#"
echo "$SUPERVISOR_ENABLED $SUPERVISOR_GROUP_NAME:$SUPERVISOR_PROCESS_NAME" >&2
while printf 'READY\n' && read -r head; do
    said=$(dd bs=1 count="${head##*len:}" 2>/dev/null)
    echo "$head | $said" | tr '\n' '/' >> heard
    echo >> heard
    printf 'RESULT 2\nOK'
done
"#;

/// Loads a job that listens, and waits until it runs.
fn listen(node: &Node, name: &str, program: &str, args: &[&str], kinds: &[&str]) {
    let job = json!({
        "name": name, "cmd": program, "args": args, "cwd": node.path(""), "listen": kinds,
        "listen_protocol": "supervisor",
    });
    node.does("POST", "/jobs/own", &job.to_string());
    until("it runs", || node.os_pids(&format!("/jobs/own/{name}")).len() == 1);
}

#[test]
fn a_listener_of_a_few_lines_is_told_of_each_event_as_it_takes_them() {
    let node = Folder::new().start();
    node.folder().write("ear", EAR);
    let kinds = ["PROCESS_STATE", "PROCESS_LOG_STDOUT", "PROCESS_GROUP"];
    listen(&node, "ear", "sh", &["ear"], &kinds);
    let job =
        json!({"name": "a", "cmd": "echo 'h\u{e9}'; exit 3", "shell": true, "restart": "never"});
    node.does("POST", "/jobs/t", &job.to_string());
    let heard = || if node.path("heard").exists() { node.read("heard") } else { String::new() };
    until("it is told of the end", || heard().contains("PROCESS_STATE_EXITED"));
    let death = &node.deaths("/jobs/t/a")[0];
    let pid = death["os_pid"].as_i64().expect("a pid");
    let told: Vec<String> = heard()
        .lines()
        .filter(|line| line.contains("groupname:t"))
        .map(|line| line.split_once(" eventname:").expect("its kind").1.to_owned())
        .collect();
    let log = format!("processname:a.1 groupname:t pid:{pid} channel:stdout/h\\xc3\\xa9");
    let end = format!("processname:a.1 groupname:t from_state:STARTING expected:0 pid:{pid}");
    assert_eq!(
        told,
        [
            "PROCESS_GROUP_ADDED len:12 | groupname:t/".to_owned(),
            "PROCESS_STATE_STARTING len:54 | processname:a.1 groupname:t from_state:STOPPED tries:0/"
                .to_owned(),
            format!("PROCESS_LOG_STDOUT len:{} | {log}/", log.len() + 1),
            format!("PROCESS_STATE_EXITED len:{} | {end}/", end.len()),
        ]
    );
    assert!(heard().starts_with("ver:3.0 server:gaffer serial:"), "{}", heard());
    let log = node.ask("GET", "/logs/own/ear", "").text().to_owned();
    assert!(log.contains("1 own:ear.1") && !log.contains("READY"), "{log}");
}

#[test]
fn crashmail_mails_when_a_process_dies_unexpectedly() {
    let Some(programs) = tool("superlance") else { return };
    let folder = Folder::new().args(&["-c", "@g.ini"]);
    folder.write("sendmail", "cat > mail.new && mv mail.new mail\n");
    folder.write(
        "g.ini",
        &format!(
            "[job:crashmail]\n\
             cmd = {}/crashmail -a -m me@example.com -s 'sh sendmail'\n\
             cwd = {}\n\
             listen = PROCESS_STATE_EXITED\n\
             listen_protocol = supervisor\n",
            programs.display(),
            folder.path("").display(),
        ),
    );
    let node = folder.start();
    until("it runs", || node.os_pids("/jobs/default/crashmail").len() == 1);
    node.does("POST", "/jobs/t", r#"{"name": "good", "cmd": "true", "restart": "never"}"#);
    node.does("POST", "/jobs/t", r#"{"name": "bad", "cmd": "false", "restart": "never"}"#);
    until("it mails", || node.path("mail").exists());
    let pid = node.deaths("/jobs/t/bad")[0]["os_pid"].as_i64().expect("a pid");
    let mail = node.read("mail");
    assert!(mail.starts_with("To: me@example.com\nSubject:  bad.1 crashed at "), "{mail}");
    let said =
        format!("Process bad.1 in group t exited unexpectedly (pid {pid}) from state STARTING");
    assert!(mail.ends_with(&said), "{mail}");
}

/// Takes one mail, as a server for them does, and gives what was sent.
fn take_mail(client: TcpStream) -> String {
    let mut answers = client.try_clone().expect("one more");
    let mut say = |text: &str| answers.write_all(format!("{text}\r\n").as_bytes()).is_ok();
    let (mut mail, mut is_data) = (String::new(), false);
    say("220 mail");
    for line in BufReader::new(client).lines().map_while(Result::ok) {
        let goes_on = match (line.as_str(), is_data) {
            (".", true) => {
                is_data = false;
                say("250 taken")
            }
            (_, true) => {
                mail += &format!("{line}\n");
                true
            }
            ("DATA" | "data", false) => {
                is_data = true;
                say("354 go on")
            }
            ("QUIT" | "quit", false) => {
                say("221 bye");
                false
            }
            (_, false) => say("250 well"),
        };
        if !goes_on {
            break;
        }
    }
    mail
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
fn fatalmailbatch_mails_with_the_next_tick_when_a_job_is_given_up() {
    let Some(programs) = tool("superlance") else { return };
    let node = Folder::new().start();
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = format!("--smtpHost={}", server.local_addr().expect("bound"));
    let (taken, mails) = mpsc::channel();
    std::thread::spawn(move || {
        for client in server.incoming().map_while(Result::ok) {
            if taken.send(take_mail(client)).is_err() {
                return;
            }
        }
    });
    let program = programs.join("fatalmailbatch").display().to_string();
    let args = [
        "--toEmail=me@example.com",
        "--fromEmail=gaffer@example.com",
        "--interval=0.01",
        "--tickEvent=TICK_5",
        &host,
    ];
    listen(&node, "fatal", &program, &args, &["PROCESS_STATE", "TICK_5"]);
    let job = json!({"name": "bad", "cmd": "false", "flapping": {"attempts": 1, "max_retry": 0}});
    node.does("POST", "/jobs/t", &job.to_string());
    let mail = until_some("it mails", || mails.try_recv().ok());
    assert!(mail.contains("To: me@example.com"), "{mail}");
    let said = "Process t:bad.1 failed to start too many times";
    assert!(mail.replace("=\n", "").contains(said), "{mail}");
}
