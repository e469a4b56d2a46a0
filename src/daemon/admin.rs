//! Administrators made and listed while no daemon runs: `--create-admin-user` and `--list-admins` (the
//! protocol, section 2.6). Their files are written as the daemon would write them.

use std::io::{self, Write as _};
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::config::{Config, Origins};
use super::host;
use super::legacy::StateDirectory;
use super::options::{Admin, Options};
use super::passwords;
use super::servant::{self, Servant};
use crate::front::passwords::{perform, Outcome};
use crate::front::rights::Permissions;
use crate::node::journal::Journal;
use crate::node::keys::door::{Door, Keeping};
use crate::node::keys::key::Key;
use crate::node::keys::user::{User, ADMIN};
use crate::node::keys::users::check_name;
use crate::node::machine::StateFile;
use crate::reactor::files::Files;
use crate::sys::entropy;
use crate::sys::prompt::Prompt;
use crate::sys::startup;
use crate::sys::users::is_root;

/// Does what is asked for; gives what is printed.
///
/// # Errors
/// Why not, in words.
#[expect(clippy::disallowed_methods, reason = "a key has the time at which it is made")]
pub fn run(options: &Options, admin: &Admin) -> Result<String, String> {
    let environ = host::environment();
    let program = std::env::current_exe().ok();
    let origins = Origins {
        options,
        environ: &environ,
        root: is_root(),
        program: program.as_deref(),
        hosted: false,
    };
    let settings = Config::read(&origins)?.settings;
    startup::guard_memory();
    let servant = Servant::wished(settings.user.as_deref())?;
    servant::in_directory(servant.as_ref(), &settings.state_dir, || Ok(()))?;
    servant::become_him(servant.as_ref())?;
    let state = StateDirectory::take(&settings.state_dir)
        .map_err(|error| format!("{error}; while gafferd runs, gaffer user:add makes users"))?;
    let mut door = opened(&state)?;
    if admin.list {
        return Ok(listed(&door));
    }
    let (name, password) = asked(admin, &door)?;
    let told = create(&mut door, &name, password, SystemTime::now())?;
    let mut files = Files::new(settings.state_dir.clone());
    let keys = door.keys.all().map(|(id, key)| (id.to_string(), key.to_value())).collect();
    let users = door.users.all().map(|(name, user)| (name.clone(), user.to_value())).collect();
    // The key first: a user without his key would be one who may nothing.
    for (file, entries) in [(StateFile::Keys, keys), (StateFile::Users, users)] {
        let path = settings.state_dir.join(file.name());
        let written = files.write_at_once(file, &whole(file, entries));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(told)
}

fn opened(state: &StateDirectory) -> Result<Door, String> {
    let mut seed = [0; 32];
    entropy::random_bytes(&mut seed).map_err(|errno| format!("no random numbers: {errno}"))?;
    let mut door = Door::new(Keeping::default(), seed);
    for (_, value) in state.load_whole(StateFile::Keys)? {
        door.restore_key(&value);
    }
    for (name, value) in state.load_whole(StateFile::Users)? {
        door.restore_user(&name, &value);
    }
    Ok(door)
}

fn whole(file: StateFile, entries: Vec<(String, Value)>) -> Vec<u8> {
    let mut journal = Journal::new(file.name(), Map::new());
    for (key, value) in entries {
        journal.restore(&key, &value);
    }
    journal.whole()
}

/// The administrators with the ids of their keys; the keys themselves nobody knows.
fn listed(door: &Door) -> String {
    let admins = door.users.all().filter(|(_, user)| user.kind == ADMIN);
    let line = |(name, user): (&String, &User)| {
        let key = user.key.as_ref().map_or_else(|| "no key".into(), ToString::to_string);
        format!("{name} - {key}\n")
    };
    admins.map(line).collect()
}

/// Who it is to be, and with which password.
fn asked(admin: &Admin, door: &Door) -> Result<(String, String), String> {
    let mut prompt = None;
    let open = || -> Result<Prompt, String> {
        Prompt::open().map_err(|_| {
            "there is no terminal to ask on: give --username and --password-file FILE (- for stdin)"
                .to_owned()
        })
    };
    let name = match &admin.username {
        Some(name) => {
            check_free(name, door)?;
            name.clone()
        }
        None => {
            let prompt = prompt.insert(open()?);
            loop {
                let name = passwords::answered(prompt.line("username: "))?.to_lowercase();
                match check_free(&name, door) {
                    Ok(()) => break name,
                    Err(error) => prompt.tell(&error).map_err(|error| error.to_string())?,
                }
            }
        }
    };
    let password = match (&admin.password_file, &admin.password) {
        (Some(file), _) => passwords::from_file(file)?,
        (None, Some(password)) => {
            // It is of no weight whether anybody reads this.
            let _ = writeln!(
                io::stderr(),
                "gafferd: whoever lists processes could read --password; use --password-file FILE"
            );
            password.clone()
        }
        (None, None) => match &mut prompt {
            Some(prompt) => passwords::ask_twice(prompt)?,
            None => passwords::ask_twice(&mut open()?)?,
        },
    };
    Ok((name, password))
}

fn check_free(name: &str, door: &Door) -> Result<(), String> {
    check_name(name)?;
    match door.users.get(name) {
        None => Ok(()),
        Some(_) => Err(format!("username '{name}' already exists. Please choose another")),
    }
}

fn create(
    door: &mut Door,
    name: &str,
    password: String,
    now: SystemTime,
) -> Result<String, String> {
    let password = match perform(&door.hashing(password)) {
        Outcome::Made(hash) => hash,
        Outcome::Failed(reason) => return Err(reason),
        Outcome::Checked(_) => return Err("the password could not be hashed".into()),
    };
    let made = door.mint(now, |hash| Key {
        hash,
        label: "admin key".into(),
        permissions: Permissions::admin(),
        parent: None,
        created: now,
        expires: None,
        certificate: None,
        login: None,
        extra: Map::new(),
    });
    let (id, secret) = made.map_err(|reason| format!("no key can be made: {reason:?}"))?;
    door.put_user(name, User { kind: ADMIN, key: Some(id), password, extra: Map::new() });
    Ok(format!("User '{name}' created.\nAPI Key: {secret}\n"))
}
