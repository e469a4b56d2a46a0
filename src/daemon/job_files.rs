//! Jobs from Procfiles and from JSON files: text comes in, entries with their places go out.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{json, Map, Value};

use super::text_file::{read, TextFile};
use crate::base::environment::Variables;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::supervisor::name::{check_session, JobName};
use crate::supervisor::spec::{JobEntry, Place};
use crate::supervisor::spec_read;
use crate::wire::{dotenv, json, procfile};

/// Keys of a job that variables of `.env` give to all jobs of an application.
const ACCOUNTS: [(&str, &str); 2] = [("uid", "GAFFER_UID"), ("gid", "GAFFER_GID")];

/// A Procfile application, found and read.
#[derive(Default)]
pub struct Application {
    /// The session of its jobs.
    pub session: String,
    /// The folder of its Procfile, absolute.
    pub root: PathBuf,
    /// The Procfile.
    pub path: PathBuf,
    /// Its text.
    pub procfile: String,
    /// The `.env` beside it, or those that stand for it: path and text of each. What a later one says goes
    /// over what an earlier one does.
    pub dotenvs: Vec<(PathBuf, String)>,
    /// Where its ports begin, whatever its variables say.
    pub port: Option<u16>,
}

impl Application {
    /// Reads `[NAME=]FILE` and the `.env` beside the file. Without a name the application is called
    /// as its folder is.
    ///
    /// # Errors
    /// A file cannot be read, or the name is none.
    pub fn open(argument: &str) -> Result<Self, String> {
        let (name, file) = match argument.split_once('=') {
            Some((name, file)) if !name.contains('/') => (Some(name), file),
            Some(_) | None => (None, argument),
        };
        let path = PathBuf::from(file);
        let procfile = read(&path)?;
        let absolute = std::path::absolute(&path).map_err(|error| format!("{file}: {error}"))?;
        let root = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let folder = root.canonicalize().unwrap_or_else(|_| root.clone());
        let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let session = name.map(str::to_owned).or(folder).unwrap_or_default();
        check_session(&session).map_err(|error| {
            format!("{file}: {error}; say the application's name with --procfile NAME={file}")
        })?;
        let dotenvs = dotenv_in(&root)?;
        Ok(Self { session, root, path, procfile, dotenvs, port: None })
    }

    /// Has it in another folder than that of its Procfile, with the `.env` there.
    ///
    /// # Errors
    /// The `.env` cannot be read.
    pub fn move_to(&mut self, root: &Path) -> Result<(), String> {
        let absolute = std::path::absolute(root);
        self.root = absolute.map_err(|error| format!("{}: {error}", root.display()))?;
        self.dotenvs = dotenv_in(&self.root)?;
        Ok(())
    }

    /// Its jobs. `base_port` is where its ports begin if neither `.env` nor `environ` says so.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn jobs(
        &self,
        environ: &SortedMap<String, String>,
        base_port: u16,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<JobEntry>, String> {
        let at = |line: usize| format!("{}:{line}", self.path.display());
        let parsed = procfile::parse(&self.procfile)
            .map_err(|error| format!("{}: {}", at(error.line), error.message))?;
        for (line, text) in &parsed.ignored {
            warnings.push(format!("{}: ignored, not \"name: command\": {text:?}", at(*line)));
        }
        if parsed.processes.is_empty() {
            return Err(format!("{}: no \"name: command\" line in it", self.path.display()));
        }
        let (env, places) = self.environment(environ)?;
        let port = env.get("PORT").or_else(|| environ.get("PORT"));
        let base_port = match (self.port, port) {
            (Some(said), _) => said,
            (None, None) => base_port,
            (None, Some(text)) => text.parse().map_err(|_| {
                let place = places.get("PORT").map(|place| format!("{place}: "));
                format!("{}PORT is {text:?}, no port number", place.unwrap_or_default())
            })?,
        };
        let mut jobs = Vec::new();
        for (index, process) in parsed.processes.iter().enumerate() {
            let place = at(process.line);
            let port = procfile::port_of(base_port, index).ok_or_else(|| {
                format!("{place}: its PORT would be above 65535; set a lower PORT")
            })?;
            let config = self.config(process, &env, port);
            let name = JobName::new(&self.session, &process.name);
            let name = name.map_err(|error| format!("{place}: {error}"))?;
            let spec = spec_read::read(&config).map_err(|error| format!("{place}: {error}"))?;
            let mut place = Place::new(place);
            for (key, variable) in ACCOUNTS {
                if let Some(written) = places.get(variable) {
                    place.add(key, written.clone());
                }
            }
            JobEntry { name, spec: Rc::new(spec), start: true, place }.join(&mut jobs);
        }
        Ok(jobs)
    }

    /// The variables of its `.env` files, and where each is written.
    ///
    /// # Errors
    /// What is wrong with it, with file and line.
    pub fn environment(&self, environ: &Variables) -> Result<(Variables, Variables), String> {
        let (mut env, mut places) = (Variables::new(), Variables::new());
        for (path, text) in &self.dotenvs {
            let known = |name: &str| env.get(name).or_else(|| environ.get(name)).cloned();
            let parsed = dotenv::parse(text, &known);
            let at = |line: usize| format!("{}:{line}", path.display());
            for entry in parsed.map_err(|error| format!("{}: {}", at(error.line), error.message))? {
                places.insert(entry.key.clone(), at(entry.line));
                env.insert(entry.key, entry.value);
            }
        }
        Ok((env, places))
    }

    fn config(
        &self,
        process: &procfile::Process,
        env: &SortedMap<String, String>,
        port: u16,
    ) -> Map<String, Value> {
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
        set("name", json!(process.name));
        if procfile::needs_shell(&process.command) {
            set("cmd", json!(procfile::shell_line(&process.command)));
            set("shell", json!(true));
        } else {
            set("cmd", json!(process.command));
        }
        set("cwd", json!(self.root.to_string_lossy()));
        let variables = env.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        set("env", Value::Object(json::object(variables)));
        set("os_env", json!(true));
        set("port", json!(port));
        set("redirect_output", json!(["out", "err"]));
        let with_input = env.get("GAFFER_REDIRECT_INPUT").map(String::as_str).unwrap_or_default();
        if with_input.split_whitespace().any(|name| name == process.name) {
            set("redirect_input", json!(true));
        }
        for (key, variable) in ACCOUNTS {
            if let Some(account) = env.get(variable).filter(|account| !account.is_empty()) {
                set(key, json!(account));
            }
        }
        config
    }
}

fn dotenv_in(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let path = root.join(".env");
    let text = TextFile::find(&path)?.map(TextFile::read).transpose()?;
    Ok(text.map(|text| (path, text)).into_iter().collect())
}

/// The jobs of a JSON file: one job, or `{"jobs": [...]}`. One that names no session is of `session`.
///
/// # Errors
/// What is wrong, with the file and the line or the job.
pub fn json_jobs(path: &Path, text: &str, session: &str) -> Result<Vec<JobEntry>, String> {
    let file = path.display();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = json::parse(text.as_bytes()).map_err(|error| {
        let told = error.to_string();
        let what = told.split(" at line ").next().unwrap_or(&told);
        format!("{file}:{}: {what} at column {}", error.line(), error.column())
    })?;
    let Value::Object(top) = value else {
        return Err(format!("{file}: expected an object: one job, or {{\"jobs\": [...]}}"));
    };
    let list = match top.get("jobs") {
        None => vec![Value::Object(top)],
        Some(Value::Array(list)) if top.len() == 1 => list.clone(),
        Some(Value::Array(_)) => {
            return Err(format!("{file}: beside \"jobs\" nothing else is expected"));
        }
        Some(_) => return Err(format!("{file}: jobs: expected a list")),
    };
    let placed = |(number, value): (usize, &Value)| {
        let place = format!("{file}: job {}", number + 1);
        json_job(value, &place, session).map_err(|error| {
            let name = value.get("name").and_then(Value::as_str);
            // One that is too long is told short enough by what is wrong with it.
            let name = name.filter(|name| name.len() <= limits::JOB_LABEL);
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("{place}{name}: {error}")
        })
    };
    let mut jobs = Vec::with_capacity(list.len());
    for job in list.iter().enumerate().map(placed) {
        job?.join(&mut jobs);
    }
    Ok(jobs)
}

fn json_job(value: &Value, place: &str, session: &str) -> Result<JobEntry, String> {
    let mut config = value.as_object().ok_or("expected an object")?.clone();
    let name = match config.get("name") {
        Some(Value::String(name)) => match name.contains(['.', '/']) {
            true => JobName::parse(name),
            false => JobName::new(session, name),
        }
        .map_err(|error| error.to_string())?,
        None | Some(_) => return Err("name: expected a text such as \"session.label\"".into()),
    };
    let start = spec_read::wants_start(&config);
    config.insert("name".into(), json!(name.label()));
    let spec = spec_read::read(&config).map_err(|error| error.to_string())?;
    Ok(JobEntry { name, spec: Rc::new(spec), start, place: Place::new(place.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::name::DEFAULT_SESSION;
    use crate::supervisor::spec::Command;

    fn application(procfile: &str, dotenv: &str) -> Result<Vec<JobEntry>, String> {
        let application = Application {
            session: "app".into(),
            root: "/srv/app".into(),
            path: "Procfile".into(),
            procfile: procfile.into(),
            dotenvs: vec![(".env".into(), dotenv.into())],
            port: None,
        };
        application.jobs(&SortedMap::new(), 5100, &mut Vec::new())
    }

    #[test]
    fn a_procfile_becomes_jobs_with_ports_by_the_foreman_rule() {
        let jobs = application("web: ./serve -p $PORT\nmy-job: work a\n", "A=1\n").expect("valid");
        let ports: Vec<_> = jobs.iter().map(|job| job.spec.port).collect();
        assert_eq!(ports, [Some(5100), Some(5200)]);
        assert_eq!(jobs[0].spec.command, Command::Shell("exec ./serve -p $PORT".into()));
        assert_eq!(jobs[1].name.to_string(), "app.my-job");
        assert_eq!(jobs[1].spec.env.get("A").map(String::as_str), Some("1"));
        assert_eq!(jobs[1].place.job(), "Procfile:2");
        let jobs = application("web: a\n", "PORT=7000\nGAFFER_REDIRECT_INPUT=\"x web\"\n");
        let spec = &jobs.expect("valid")[0].spec;
        assert_eq!((spec.port, spec.redirect_input), (Some(7000), true));
    }

    #[test]
    fn faults_of_an_application_have_their_place() {
        assert_eq!(
            application("web: a\n", "x\n").err().map(|e| e.starts_with(".env:1: ")),
            Some(true)
        );
        assert!(application("\n", "").is_err_and(|e| e.contains("no \"name: command\"")));
        assert!(application("a: b\n", "A=1\nPORT=x\n")
            .is_err_and(|e| e.starts_with(".env:2: PORT is \"x\", no port number")));
        assert!(application("a: b\na: c\n", "").is_err_and(|e| e.starts_with("Procfile:2: ")));
        let jobs = application("a: b\n", "\nGAFFER_UID=who\n").expect("valid");
        let place = &jobs[0].place;
        assert_eq!((place.of("uid"), place.of("cmd")), (".env:2", "Procfile:1"));
    }

    #[test]
    fn a_later_file_of_variables_goes_over_an_earlier_one() {
        let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
        let application = Application {
            dotenvs: vec![file("a", "X=1\nY=1\n"), file("b", "\nY=2\nZ=${X}${Y}\n")],
            ..Application::default()
        };
        let (env, places) = application.environment(&Variables::new()).expect("valid");
        let of = |name: &str| (env[name].as_str(), places[name].as_str());
        assert_eq!([of("X"), of("Y"), of("Z")], [("1", "a:1"), ("2", "b:2"), ("12", "b:3")]);
    }

    #[test]
    fn json_files_have_one_job_or_many() {
        let names = |text: &str| {
            json_jobs(Path::new("f"), text, DEFAULT_SESSION)
                .map(|jobs| jobs.iter().map(|job| job.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(r#"{"name": "a.b", "cmd": "x"}"#), Ok(vec!["a.b".into()]));
        let many = r#"{"jobs": [{"name": "b", "cmd": "x"}, {"name": "s/c", "cmd": "x"}]}"#;
        assert_eq!(names(many), Ok(vec!["default.b".into(), "s.c".into()]));
        assert_eq!(
            names("\u{feff}{\"name\": \"b\", \"cmd\": \"x\"}"),
            Ok(vec!["default.b".into()])
        );
        let other = json_jobs(Path::new("f"), r#"{"name": "b", "cmd": "x"}"#, "shop");
        assert_eq!(other.map(|jobs| jobs[0].name.to_string()), Ok("shop.b".into()));
        for (text, start) in [
            ("{\n{", "f:2: key must be a string at column 1"),
            ("[]", "f: expected an object"),
            (r#"{"jobs": 1}"#, "f: jobs: expected a list"),
            (r#"{"jobs": [{"name": "a"}]}"#, "f: job 1 (a): cmd is missing"),
            (r#"{"jobs": [{"cmd": "a"}]}"#, "f: job 1: name: expected"),
        ] {
            let error = names(text).err().unwrap_or_default();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
