//! Plugins of a real gafferd: which there are, and how they come and go.

use serde_json::{json, Value};

use super::node::{Folder, Node, HUP};
use super::until::until;

fn names(node: &Node) -> Vec<String> {
    let plugins = node.get("/plugins")["plugins"].clone();
    let name = |plugin: &Value| plugin["name"].as_str().unwrap_or_default().to_owned();
    plugins.as_array().into_iter().flatten().map(name).collect()
}

fn hang_up(node: &Node, said: &str) {
    let before = node.log().len();
    node.signal(HUP);
    until(said, || node.log().get(before..).unwrap_or_default().contains(said));
}

#[test]
fn plugins_are_found_where_they_are_named() {
    let folder = Folder::new();
    for place in ["plugins", "line", "file", "env"] {
        folder.write(&format!("{place}/of-{place}/index.html"), "x");
    }
    folder.write("g.ini", "[gaffer]\n");
    let env = folder.text("env");
    let mut node = folder.args(&["-c", "@g.ini"]).start();
    assert_eq!(names(&node), ["of-plugins"], "beside the configuration");
    node.stop();
    node.folder().write("g.ini", "[gaffer]\nplugin_dir = file\n");
    node.start_again();
    assert_eq!(names(&node), ["of-file"], "beside the file that says so");
    node.set_args(2, &["-p", "line"]);
    node.stop();
    node.start_again();
    assert_eq!(names(&node), ["of-line"], "where it is started");
    node.stop();
    let folder = Folder::new().env("GAFFER_PLUGIN_DIR", &env);
    folder.write("g.ini", "[gaffer]\n");
    folder.write("plugins/of-plugins/index.html", "x");
    let node = folder.args(&["-c", "@g.ini"]).start();
    assert_eq!(names(&node), ["of-env"], "before those beside the configuration");
}

#[test]
fn a_directory_of_plugins_that_is_named_has_to_be_there() {
    let folder = Folder::new().args(&["--plugins-dir", "@none"]);
    let refused = folder.run();
    assert_eq!(refused.code, Some(1));
    let said = "/none: No such file or directory; make that directory of plugins, or name another";
    assert!(refused.said.contains(said), "{}", refused.said);
}

#[test]
fn plugins_come_change_and_go_with_a_reload_and_stay_where_that_fails() {
    let folder = Folder::new().args(&["-p", "@plugins"]);
    folder.write("plugins/a/index.html", "a");
    folder.write("plugins/b/readme", "b");
    let node = folder.start();
    let b = "it is no plugin: it has no folder _site, no index.html and no plugin.json; add one of them, or take it away";
    let told = json!({"plugins": [
        {"name": "a", "site": "/_plugin/a/", "program": null, "faults": []},
        {"name": "b", "site": null, "program": null, "faults": [b]},
    ]});
    assert_eq!(node.get("/plugins"), told);
    let log = node.log();
    assert!(log.contains(&format!("/plugins/b: {b}")), "{log}");
    node.folder().write("plugins/b/_site/index.html", "b");
    node.folder().write("plugins/c/index.html", "c");
    std::fs::remove_dir_all(node.path("plugins/a")).expect("ours");
    hang_up(&node, "the plugin \"a\" is gone");
    until("all is taken", || names(&node) == ["b", "c"]);
    let log = node.log();
    assert!(log.contains("the plugin \"b\" has changed"), "{log}");
    assert!(log.contains("the plugin \"c\" is there now"), "{log}");
    std::fs::rename(node.path("plugins"), node.path("elsewhere")).expect("ours");
    hang_up(&node, "the configuration stays as it was");
    assert_eq!(names(&node), ["b", "c"]);
    std::fs::rename(node.path("elsewhere"), node.path("plugins")).expect("ours");
}
