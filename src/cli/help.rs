//! Help, manual page and completions, all from the table.

use super::args::{joined, Invocation};
use super::failure::Failure;
use super::table::{self, Command, Flag, On, COMMANDS, GLOBAL};
use super::terminal::{Cell, Paint, Terminal};
use crate::VERSION;

/// `--help`, or no command at all.
pub fn help(topic: Option<&str>, terminal: &mut Terminal) -> Result<(), Failure> {
    match topic {
        None => overview(terminal),
        Some(name) => match table::find(name) {
            Some(command) => of_command(command, terminal),
            None => Err(Failure::usage(format!("Unknown command: '{name}'"))),
        },
    }
}

/// `gaffer help`.
pub fn command(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    if invocation.has("man") {
        return terminal.line(manual().trim_end());
    }
    match invocation.words.as_slice() {
        [] => overview(terminal),
        [name] => help(Some(name), terminal),
        [first, second] if table::find(&joined(first, second)).is_some() => {
            help(Some(&joined(first, second)), terminal)
        }
        [_, more, ..] => Err(Failure::usage(format!("{more:?} is one argument too many"))),
    }
}

fn overview(terminal: &mut Terminal) -> Result<(), Failure> {
    terminal
        .line("gaffer: the command line of gaffer, a process supervisor controlled over HTTP")?;
    terminal.line("")?;
    terminal.line("usage: gaffer [FLAGS] COMMAND [ARGUMENTS]")?;
    terminal.line("")?;
    let row = |command: &Command| -> Vec<Cell> {
        let name = Cell { text: format!("  {}", command.names.join(", ")), paint: Paint::Bold };
        vec![name, command.about.into()]
    };
    let rows: Vec<Vec<Cell>> = COMMANDS.iter().map(row).collect();
    terminal.table(&rows, &[])?;
    terminal.line("")?;
    terminal.line("flags of every command:")?;
    flags(GLOBAL, terminal)?;
    terminal.line("")?;
    terminal.line(
        "gaffer help COMMAND tells more. A job is JOB, APP.JOB, APP/JOB or a pattern with *.",
    )?;
    terminal
        .line("Exit codes: 0 all well, 1 refused or failed, 2 usage, 3 not running, 4 no node,")?;
    terminal.line("5 well on some nodes only; of start and dev:run, that of what they run.")
}

fn of_command(command: &Command, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = command.names.first().copied().unwrap_or_default();
    let usage = format!("usage: gaffer {name} [FLAGS] {}", command.args);
    terminal.line(usage.trim_end())?;
    terminal.line("")?;
    terminal.line(&format!("  {}", command.about))?;
    if let [_, others @ ..] = command.names {
        if !others.is_empty() {
            terminal.line(&format!("  also: {}", others.join(", ")))?;
        }
    }
    match command.on {
        On::Nodes => terminal
            .line("  with -L or --node: on all nodes that lookupds know and that have it")?,
        On::Here | On::Node | On::Lookupds => {}
    }
    if !command.flags.is_empty() {
        terminal.line("")?;
        flags(command.flags, terminal)?;
    }
    Ok(())
}

fn flags(flags: &[Flag], terminal: &mut Terminal) -> Result<(), Failure> {
    let rows: Vec<Vec<Cell>> = flags
        .iter()
        .map(|flag| vec![format!("  {}", said(flag)).into(), flag.help.into()])
        .collect();
    terminal.table(&rows, &[])
}

/// A flag as it is written.
pub fn said(flag: &Flag) -> String {
    let short = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
    format!("{short}--{}{value}", flag.long)
}

/// A manual page (man(7)).
fn manual() -> String {
    let plain = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut page = format!(".TH GAFFER 1 \"\" \"gaffer {VERSION}\"\n.SH NAME\n");
    page += "gaffer \\- command line of a process supervisor controlled over HTTP\n.SH SYNOPSIS\n";
    page += ".B gaffer\n[flags] command [arguments]\n.SH COMMANDS\n";
    for command in COMMANDS {
        let names = command.names.join(", ");
        page += &format!(
            ".TP\n.B {} {}\n{}\n",
            plain(&names),
            plain(command.args),
            plain(command.about)
        );
        for flag in command.flags {
            page += &format!(".RS\n.TP\n.B {}\n{}\n.RE\n", plain(&said(flag)), plain(flag.help));
        }
    }
    page += ".SH FLAGS\n";
    for flag in GLOBAL {
        page += &format!(".TP\n.B {}\n{}\n", plain(&said(flag)), plain(flag.help));
    }
    page
}

/// `gaffer completion`.
pub fn completion(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let text = match invocation.only("the shell")? {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        other => {
            return Err(Failure::usage(format!("expected bash, zsh or fish, found {other:?}")));
        }
    };
    terminal.line(text.trim_end())
}

fn names() -> String {
    COMMANDS.iter().flat_map(|command| command.names).copied().collect::<Vec<_>>().join(" ")
}

fn longs(flags: &[Flag]) -> String {
    flags.iter().map(|flag| format!("--{}", flag.long)).collect::<Vec<_>>().join(" ")
}

fn bash() -> String {
    let mut cases = String::new();
    for command in COMMANDS.iter().filter(|command| !command.flags.is_empty()) {
        let pattern = command.names.join("|");
        cases += &format!("      {pattern}) flags=\"$flags {}\" ;;\n", longs(command.flags));
    }
    format!(
        "_gaffer() {{\n  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" commands=\"{}\" flags=\"{}\" given=\n  \
         COMPREPLY=()\n  for given in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n    case \"$given\" in\n{cases}    \
         esac\n  done\n  case \"$word\" in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n    \
         *) COMPREPLY=($(compgen -W \"$commands\" -- \"$word\")) ;;\n  esac\n}}\ncomplete -o default -F _gaffer gaffer\n",
        names(),
        longs(GLOBAL),
    )
}

fn zsh() -> String {
    let quoted = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:");
    let mut text = String::from("#compdef gaffer\nlocal -a commands\ncommands=(\n");
    for command in COMMANDS {
        for name in command.names {
            text += &format!("  '{}:{}'\n", quoted(name), quoted(command.about));
        }
    }
    text += ")\n_arguments '1: :->command' '*: :_files' && return\n_describe command commands\n";
    text
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\'', "\\'");
    let mut text = String::new();
    for command in COMMANDS {
        for name in command.names {
            let about = quoted(command.about);
            text +=
                &format!("complete -c gaffer -n __fish_use_subcommand -a '{name}' -d '{about}'\n");
        }
    }
    for flag in GLOBAL {
        let short = flag.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
        let value = if flag.value.is_some() { " -r" } else { "" };
        text += &format!(
            "complete -c gaffer -l {}{short}{value} -d '{}'\n",
            flag.long,
            quoted(flag.help)
        );
    }
    text
}
