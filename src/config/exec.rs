//! `[[channel]]` with `kind = "exec"`: a program of one's own. Nothing is run here.

use std::path::Path;
use std::time::Duration;

use toml::Value;

use super::channel::timeout;
use super::problem::{Refusal, quoted};
use super::section::Section;
use super::value;

/// At most so many arguments.
const ARGUMENTS_MAX: usize = 100;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// Its absolute path.
    pub program: String,
    /// What it is given.
    pub arguments: Vec<String>,
    /// For the whole attempt.
    pub timeout: Duration,
}

/// The channel. `None` when something is wrong with it, which then has been told.
pub(super) fn exec(channel: &Section<'_>) -> Option<ExecConfig> {
    let timeout = timeout(channel);
    let right = "like [\"/usr/local/bin/notify\", \"argument\"]; no shell is involved";
    let (program, arguments) = channel.require("command", right, command)?;
    Some(ExecConfig { program, arguments, timeout })
}

fn command(value: &Value) -> Result<(String, Vec<String>), Refusal> {
    let mut words = value::one_or_more(value::line)(value)?.into_iter();
    let program = words.next().ok_or("is an empty list")?;
    if !Path::new(&program).is_absolute() {
        let right = "does not begin with /; a program is named by its whole path, its arguments apart";
        return Err(format!("{} {right}", quoted(&program)).into());
    }
    let arguments: Vec<_> = words.collect();
    if arguments.len() > ARGUMENTS_MAX {
        return Err(format!("has more than {ARGUMENTS_MAX} arguments").into());
    }
    Ok((program, arguments))
}

/// Whether there is a program that somebody may run. Whether we may shows the first attempt.
pub(super) async fn check_program(program: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let found = tokio::fs::metadata(program).await.map_err(|e| format!("{program} cannot be run: {e}"))?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(format!("{program} is not a program; run chmod +x {program} if it should be one"))
}
