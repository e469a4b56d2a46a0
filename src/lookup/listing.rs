//! Answers about everything, written bit by bit. What is small is given at once; what is large is
//! written while it is read, so that a slow reader holds a place in the order of things and not a copy
//! of them. Each node and each source in it is as it was when it was written.

use std::fmt::{self, Write as _};

use super::identity::Named;
use super::registry::{Mark, NodeNo, Registry, Scope, Source};
use crate::base::clock::epoch_seconds;
use crate::base::limits;
use crate::wire::json;

/// An answer, as far as it is written.
pub struct Listing {
    form: Form,
    /// Only what is on nodes of this name.
    node: Option<String>,
    begun: bool,
    /// The group that is open: a job of a session.
    open: Option<Named>,
    /// How many groups, or what else it is a list of, are written.
    count: usize,
}

/// What an answer is a list of, and how far it has come.
enum Form {
    Nodes(Option<NodeNo>),
    Jobs(Scope, Option<Mark>),
    Sessions(Option<Mark>),
    Sources(Scope, Option<Mark>),
}

impl Listing {
    /// `{"nodes": […]}`.
    pub fn nodes() -> Self {
        Self::new(Form::Nodes(None))
    }

    /// `{"jobs": […], "nb_jobs": 1}`: jobs with their sources.
    pub fn jobs(scope: Scope) -> Self {
        Self::new(Form::Jobs(scope, None))
    }

    /// `{"sessions": […], "nb_sessions": 1}`: sessions with their jobs and the sources of those, on all
    /// nodes or on those of one name.
    pub fn sessions(node: Option<String>) -> Self {
        Self { node, ..Self::new(Form::Sessions(None)) }
    }

    /// `{"sources": […]}`.
    pub fn sources(scope: Scope) -> Self {
        Self::new(Form::Sources(scope, None))
    }

    fn new(form: Form) -> Self {
        Self { form, node: None, begun: false, open: None, count: 0 }
    }

    /// Goes on writing until there is enough, or enough was looked at; gives whether that was all.
    pub fn write(&mut self, registry: &Registry, enough: usize, out: &mut String) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            out.push_str(match self.form {
                Form::Nodes(_) => "{\"nodes\": [",
                Form::Jobs(..) => "{\"jobs\": [",
                Form::Sessions(_) => "{\"sessions\": [",
                Form::Sources(..) => "{\"sources\": [",
            });
        }
        let done = match &self.form {
            Form::Nodes(last) => self.write_nodes(*last, registry, enough, out),
            Form::Jobs(scope, mark) | Form::Sources(scope, mark) => {
                self.write_sources((scope.clone(), mark.clone()), registry, enough, out)
            }
            Form::Sessions(mark) => {
                self.write_sources((Scope::All, mark.clone()), registry, enough, out)
            }
        };
        if done {
            self.end(out);
        }
        done
    }

    fn write_nodes(
        &mut self,
        mut last: Option<NodeNo>,
        registry: &Registry,
        enough: usize,
        out: &mut String,
    ) -> bool {
        for (no, node, seen) in registry.nodes(last) {
            if out.len() >= enough {
                self.form = Form::Nodes(last);
                return false;
            }
            last = Some(no);
            self.separate(out);
            let info = node.info.strip_suffix('}').unwrap_or_default();
            let seen = json::text(&epoch_seconds(seen));
            put(out, format_args!("{info}, \"last_seen\": {seen}}}"));
        }
        true
    }

    fn write_sources(
        &mut self,
        (scope, from): (Scope, Option<Mark>),
        registry: &Registry,
        enough: usize,
        out: &mut String,
    ) -> bool {
        let mut reached = None;
        for (looked, source) in registry.sources(&scope, from.as_ref()).enumerate() {
            if out.len() >= enough || looked >= limits::LOOKUP_SCAN {
                let (Form::Jobs(_, mark) | Form::Sessions(mark) | Form::Sources(_, mark)) =
                    &mut self.form
                else {
                    return true;
                };
                *mark = reached;
                return false;
            }
            if self.node.as_ref().is_none_or(|name| **name == *source.node.name) {
                self.write_source(&source, out);
            }
            reached = Some(Mark { job: source.job, no: source.no });
        }
        true
    }

    fn write_source(&mut self, source: &Source<'_>, out: &mut String) {
        let job = &source.job;
        let is_same = self.open.as_ref() == Some(job);
        match &self.form {
            Form::Jobs(..) if !is_same => {
                if self.open.is_some() {
                    out.push_str("]}");
                }
                self.separate(out);
                put(out, format_args!("{{\"name\": \"{job}\", \"sources\": ["));
            }
            Form::Sessions(_) if !is_same => {
                let before = self.open.as_ref().map(Named::session);
                if before == Some(job.session()) {
                    put(out, format_args!("], \"{job}\": ["));
                } else {
                    if before.is_some() {
                        out.push_str("]}}");
                    }
                    self.separate(out);
                    let session = job.session();
                    put(
                        out,
                        format_args!("{{\"sessionid\": \"{session}\", \"jobs\": {{\"{job}\": ["),
                    );
                }
            }
            Form::Sources(..) => self.separate(out),
            Form::Nodes(_) | Form::Jobs(..) | Form::Sessions(_) => out.push_str(", "),
        }
        if !is_same {
            self.open = Some(job.clone());
        }
        let name = json::text(&&*source.node.name);
        put(out, format_args!("{{\"name\": {name}, \"node_info\": {}, ", source.node.info));
        put(out, format_args!("\"pids\": {}}}", json::text(&source.pids)));
    }

    fn separate(&mut self, out: &mut String) {
        if self.count > 0 {
            out.push_str(", ");
        }
        self.count += 1;
    }

    fn end(&self, out: &mut String) {
        let count = self.count;
        match &self.form {
            Form::Nodes(_) | Form::Sources(..) => out.push_str("]}"),
            Form::Jobs(..) => {
                out.push_str(if self.open.is_some() { "]}" } else { "" });
                put(out, format_args!("], \"nb_jobs\": {count}}}"));
            }
            Form::Sessions(_) => {
                out.push_str(if self.open.is_some() { "]}}" } else { "" });
                put(out, format_args!("], \"nb_sessions\": {count}}}"));
            }
        }
    }
}

fn put(out: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::identity::Identity;
    use serde_json::{json, Value};
    use std::time::{Duration, UNIX_EPOCH};

    fn registry() -> Registry {
        let mut registry = Registry::default();
        for (at, name, jobs) in
            [(1500, "a", &["s.web", "t.x", "solo"][..]), (2000, "b\"", &["s.web", "s.api"])]
        {
            let who = Identity::new(name, "http://n:1", "0.1").expect("an identity");
            let seen = UNIX_EPOCH + Duration::from_millis(at);
            let no = registry.add_node(who, seen).expect("room").node_no();
            for job in jobs {
                let named = Named::parse(job).expect("a name");
                registry.add_job(no, named.clone()).expect("room");
                registry.add_process(no, &named.text, at).expect("known");
            }
        }
        registry
    }

    /// The answer, in as many steps as it takes.
    fn told(make: impl Fn() -> Listing, enough: usize) -> Value {
        let registry = registry();
        let (mut listing, mut out) = (make(), String::new());
        loop {
            let mut piece = String::new();
            let done = listing.write(&registry, enough, &mut piece);
            out += &piece;
            if done {
                return json::parse(out.as_bytes()).expect(&out);
            }
            assert!(!piece.is_empty(), "each step leads on");
        }
    }

    fn source(name: &str, pid: u64) -> Value {
        let info = json!({"name": name, "origin": "http://n:1", "version": "0.1"});
        json!({"name": name, "pids": [pid], "node_info": info})
    }

    #[test]
    fn an_answer_is_the_same_however_often_it_is_interrupted() {
        let (a, b) = (|| source("a", 1500), || source("b\"", 2000));
        let job = |name: &str, sources: Value| json!({"name": name, "sources": sources});
        let web = || job("s.web", json!([a(), b()]));
        for enough in [usize::MAX, 100, 1] {
            assert_eq!(
                told(Listing::nodes, enough),
                json!({"nodes": [
                    {"name": "a", "origin": "http://n:1", "version": "0.1", "last_seen": 1.5},
                    {"name": "b\"", "origin": "http://n:1", "version": "0.1", "last_seen": 2.0},
                ]})
            );
            let solo = job("solo", json!([a()]));
            let api = job("s.api", json!([b()]));
            let x = job("t.x", json!([a()]));
            assert_eq!(
                told(|| Listing::jobs(Scope::All), enough),
                json!({"nb_jobs": 4, "jobs": [solo, api, web(), x]})
            );
            assert_eq!(
                told(|| Listing::jobs(Scope::Session("s".into())), enough),
                json!({"nb_jobs": 2, "jobs": [job("s.api", json!([b()])), web()]})
            );
            assert_eq!(
                told(|| Listing::sources(Scope::Job("s.web".into())), enough),
                json!({"sources": [a(), b()]})
            );
            assert_eq!(
                told(|| Listing::sessions(None), enough),
                json!({"nb_sessions": 3, "sessions": [
                    {"sessionid": "default", "jobs": {"solo": [a()]}},
                    {"sessionid": "s", "jobs": {"s.api": [b()], "s.web": [a(), b()]}},
                    {"sessionid": "t", "jobs": {"t.x": [a()]}},
                ]})
            );
            assert_eq!(
                told(|| Listing::sessions(Some("b\"".into())), enough),
                json!({"nb_sessions": 1, "sessions": [
                    {"sessionid": "s", "jobs": {"s.api": [b()], "s.web": [b()]}},
                ]})
            );
            assert_eq!(
                told(|| Listing::sessions(Some("c".into())), enough),
                json!({"nb_sessions": 0, "sessions": []})
            );
            assert_eq!(
                told(|| Listing::jobs(Scope::Session("u".into())), enough),
                json!({"nb_jobs": 0, "jobs": []})
            );
            assert_eq!(
                told(|| Listing::sources(Scope::Job("a.b".into())), enough),
                json!({"sources": []})
            );
        }
    }
}
