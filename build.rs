//! Compresses the files of the dashboard, so that they are in the program as they are sent, and nothing has to be
//! compressed while the node runs. What it writes is the same for the same files, wherever and whenever it is built.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, GzBuilder};

/// Where they lie, and the types of file that there are. What else an editor leaves there is none of it.
const FOLDER: &str = "src/dashboard";
const TYPES: [&str; 5] = ["html", "css", "js", "svg", "json"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FOLDER}");
    let out = std::env::var("OUT_DIR")?;
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let name =
            entry?.file_name().into_string().map_err(|name| format!("{name:?} is no text"))?;
        let end = Path::new(&name).extension().and_then(|end| end.to_str());
        if !name.starts_with('.') && end.is_some_and(|end| TYPES.contains(&end)) {
            names.push(name);
        }
    }
    // A folder has no order of its own.
    names.sort();
    let mut table = String::from("&[\n");
    for name in &names {
        let plain = Path::new(FOLDER).join(name);
        println!("cargo::rerun-if-changed={}", plain.display());
        let packed = Path::new(&out).join(format!("{name}.gz"));
        // No name, no time, and no system in its head.
        let mut writer =
            GzBuilder::new().operating_system(255).write(Vec::new(), Compression::best());
        writer.write_all(&fs::read(&plain)?)?;
        fs::write(&packed, writer.finish()?)?;
        writeln!(table, "    Asset {{ name: {name:?}, gzip: include_bytes!({packed:?}) }},")?;
    }
    table.push_str("]\n");
    fs::write(Path::new(&out).join("dashboard.rs"), table)?;
    Ok(())
}
