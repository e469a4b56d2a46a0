//! Plugins: folders below one directory, each of which adds something to the node. A *site* is files that are
//! served below `/_plugin/NAME/`. The shell finds them at the start and whenever the configuration is read;
//! here stands what there is.

pub mod answer;
pub mod file;
pub mod sending;

use std::path::PathBuf;

use log::info;
use serde_json::{json, Value};

use super::programs::Program;
use crate::base::sorted::SortedMap;
use file::{Denied, Wanted};

/// The first segment of the paths of plugins, behind the node's prefix.
pub const PREFIX: &str = "_plugin";

/// The folder of a plugin in which its site lies.
pub const SITE: &str = "_site";

/// The file that says what program a plugin has.
pub const MANIFEST: &str = "plugin.json";

/// One plugin, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// The name of its folder.
    pub name: String,
    /// Its folder, absolute.
    pub directory: PathBuf,
    /// The files that it serves.
    pub site: Option<Site>,
    /// The text of its [`MANIFEST`], not looked at yet.
    pub manifest: Option<String>,
    /// The program that it has, once that is looked at; its job is among those of the files.
    pub program: Option<Program>,
    /// What is wrong with it. What is whole of it works all the same.
    pub faults: Vec<String>,
}

/// Where the files of a site lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// In the folder [`SITE`] of the plugin.
    Below,
    /// In the plugin's own folder, which is nothing but a site.
    Whole,
}

impl Site {
    /// The folder of the files, seen from that of the plugin, which is no symbolic link.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Self::Below => Some(SITE),
            Self::Whole => None,
        }
    }
}

impl Plugin {
    /// The file of its site that a path means: the names behind the plugin's own, decoded.
    ///
    /// # Errors
    /// It means none that is served.
    pub fn file(&self, rest: &[String], gzip: bool) -> Result<Wanted, Denied> {
        let site = self.site.ok_or(Denied::Hidden)?;
        let mut names = file::names(rest)?;
        match site.folder() {
            // What describes the plugin is no page of it.
            None if names == [MANIFEST] => return Err(Denied::Hidden),
            None => {}
            Some(folder) => names.insert(0, folder.to_owned()),
        }
        Ok(Wanted { root: self.directory.clone(), names, gzip })
    }
}

/// All plugins of a node.
#[derive(Default)]
pub struct Plugins {
    all: SortedMap<String, Plugin>,
    /// What stands before the paths of built-in endpoints.
    prefix: String,
}

impl Plugins {
    /// These, on a node with its endpoints below this prefix.
    pub fn new(prefix: &str, found: Vec<Plugin>) -> Self {
        let all = found.into_iter().map(|plugin| (plugin.name.clone(), plugin)).collect();
        Self { all, prefix: prefix.to_owned() }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.all.get(name)
    }

    /// All of them, by their names.
    pub fn iter(&self) -> impl Iterator<Item = &Plugin> {
        self.all.values()
    }

    /// These are there now.
    pub fn replace(&mut self, found: Vec<Plugin>) {
        let now = Self::new(&self.prefix, found);
        for plugin in now.iter() {
            let name = &plugin.name;
            match self.get(name) {
                None => info!("the plugin {name:?} is there now"),
                Some(before) if before != plugin => info!("the plugin {name:?} has changed"),
                Some(_) => {}
            }
        }
        for name in self.all.keys().filter(|name| now.get(name).is_none()) {
            info!("the plugin {name:?} is gone");
        }
        *self = now;
    }

    /// What `GET /plugins` tells; `program` tells how it stands with that of a plugin.
    pub fn view(&self, program: impl Fn(&str) -> Option<Value>) -> Value {
        let views = self.iter().map(|plugin| self.view_of(plugin, program(&plugin.name)));
        json!({ "plugins": views.collect::<Vec<_>>() })
    }

    fn view_of(&self, plugin: &Plugin, program: Option<Value>) -> Value {
        let Plugin { name, site, faults, .. } = plugin;
        json!({
            "name": name,
            "site": site.map(|_| format!("{}/{PREFIX}/{name}/", self.prefix)),
            "program": program,
            "faults": faults,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, site: Option<Site>) -> Plugin {
        let directory = PathBuf::from("/p").join(name);
        Plugin {
            name: name.into(),
            directory,
            site,
            manifest: None,
            program: None,
            faults: Vec::new(),
        }
    }

    #[test]
    fn what_there_is_is_told_by_name_and_below_the_prefix() {
        let broken = Plugin { faults: vec!["it is broken".into()], ..plugin("a", None) };
        let mut plugins = Plugins::new("/gaffer", vec![plugin("b", Some(Site::Whole)), broken]);
        let told = json!({"plugins": [
            {"name": "a", "site": null, "program": null, "faults": ["it is broken"]},
            {"name": "b", "site": "/gaffer/_plugin/b/", "program": null, "faults": []},
        ]});
        assert_eq!(plugins.view(|_| None), told);
        plugins.replace(vec![plugin("c", Some(Site::Below))]);
        assert!(plugins.get("a").is_none() && plugins.get("b").is_none());
        assert_eq!(plugins.get("c").and_then(|plugin| plugin.site), Some(Site::Below));
    }
}
