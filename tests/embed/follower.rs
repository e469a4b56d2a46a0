//! A client that follows the statistics of a job on a node, wherever that runs, and prints them as they come.
//!
//!     cargo run --example follower -- http://127.0.0.1:5000 site.web 3
//!
//! ends after 3 of them, or with the node.

use gaffer::client::{Address, Channel, Endpoint, Error, Heard};
use serde_json::{json, Map};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [node, job, times] = args.as_slice() else {
        eprintln!("usage: follower URL JOB TIMES");
        std::process::exit(2);
    };
    let address: Address = node.parse()?;
    let mut left: u32 = times.parse().unwrap_or(1);
    let mut channel = Channel::open(&Endpoint::from(address))?;
    let wishes = Map::from_iter([("interval".to_owned(), json!(0.1))]);
    channel.subscribe(&format!("STATS:{job}"), &wishes)?;
    while left > 0 {
        match channel.hear()? {
            Some(Heard::Event { data, .. }) => {
                let [pid, memory, cpu] = ["pid", "mem_info1", "cpu"].map(|key| &data[key]);
                println!("process {pid}: {memory}, {cpu} % of a processor");
                left -= 1;
            }
            Some(Heard::Lagged { lost, .. }) => eprintln!("{lost} were lost"),
            None => break,
        }
    }
    Ok(())
}
