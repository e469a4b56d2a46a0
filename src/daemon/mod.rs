//! Floor 6: assembly. What the operator says, on the command line and in files, becomes a machine
//! in its shell.

pub mod admin;
pub mod boot;
pub mod command_line;
pub mod config;
pub mod embed;
pub mod host;
pub mod ini_jobs;
pub mod job_files;
mod keeping;
mod launch;
pub mod legacy;
mod log_file;
pub mod log_lines;
pub mod logger;
pub mod lookupd;
pub mod lookupd_options;
pub mod options;
pub mod passwords;
pub mod paths;
pub mod places;
pub mod plugins;
pub mod programs;
mod registration;
mod servant;
pub mod settings;
pub mod text_file;
pub mod tls;
pub mod values;
pub mod webhooks;
pub mod world;
