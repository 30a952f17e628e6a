//! Finds the file, reads it and the files it includes, and lays the environment over it.
//!
//! Nothing here knows what a key means.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;
use super::problem::{Problem, ProblemKind, Problems, Refusal, nearest, quoted};
use super::section::Origin;
use super::value;

/// Names the file.
const PATH_VARIABLE: &str = "BREAKWATCH_CONFIG";
/// Looked for in this order when nobody names a file.
const PATHS: [&str; 2] = ["breakwatch.toml", "/etc/breakwatch/breakwatch.toml"];
/// Variables that set a key begin with this; sections and keys are joined by two underscores.
const PREFIX: &str = "BREAKWATCH__";
/// The sections whose keys the environment can set.
const SECTIONS: [&str; 4] = ["storage", "log", "retry", "instrument"];
/// The file lies below this key in the `config` crate's tree. At its top that crate reads keys as paths, where
/// one such as `"a[99999999999]"` would make a list of that length; further down keys are taken as they are.
const ROOT: &str = "file";
/// All files together are at most so large,
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// but for tables of levels, which are together at most so large.
const TABLES_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// At most so many files are included.
const INCLUDED_MAX: usize = 1_000;

/// The file to load: the one given, the one that the environment names, or the first that exists.
pub(super) fn find(given: Option<&Path>, env: &BTreeMap<String, String>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    if let Some(path) = env.get(PATH_VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let found = PATHS.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| ConfigError::NotFound(PATHS.iter().map(PathBuf::from).collect()))
}

/// How much may still be read.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    max: u64,
    what: &'static str,
}

impl Budget {
    /// For the configuration itself.
    pub(super) const fn of_files() -> Self {
        Self { left: BYTES_MAX, max: BYTES_MAX, what: "the configuration is" }
    }

    /// For tables of levels.
    pub(super) const fn of_tables() -> Self {
        Self { left: TABLES_BYTES_MAX, max: TABLES_BYTES_MAX, what: "the tables of levels are" }
    }

    /// Takes what was read off.
    pub(super) fn take(&mut self, bytes: usize, origin: &str) -> Result<(), ConfigError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let max = self.max / 1024 / 1024;
            let text = format!("{} larger than {max} MiB, all files together", self.what);
            single(origin, ProblemKind::File, text)
        })?;
        Ok(())
    }
}

/// Reads a file that fits the budget, and takes it off.
pub(super) fn read(path: &Path, budget: &mut Budget) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(budget.left.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let origin = path.display().to_string();
    budget.take(bytes.len(), &origin)?;
    String::from_utf8(bytes).map_err(|e| {
        let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        let place = place(&String::from_utf8_lossy(good), good.len());
        syntax(&format!("{origin}:{place}"), "is not UTF-8 text")
    })
}

fn syntax(origin: &str, text: &str) -> ConfigError {
    single(origin, ProblemKind::Syntax, text.to_owned())
}

fn single(origin: &str, kind: ProblemKind, text: String) -> ConfigError {
    let problem = Problem { origin: origin.to_owned(), path: String::new(), kind, text };
    ConfigError::Invalid { problems: vec![problem], unlisted: 0 }
}

/// Parses TOML; a mistake is told with its line and column.
pub(super) fn parse(text: &str, origin: &str) -> Result<Table, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.parse::<Table>().map_err(|e| {
        let at = e.span().map(|span| format!(":{}", place(text, span.start)));
        let message = e.message().trim().replace('\n', ", ");
        syntax(&format!("{origin}{}", at.unwrap_or_default()), &message)
    })
}

/// Line and column of a byte, both counted from 1, the column in characters.
fn place(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    format!("{line}:{column}")
}

/// Lays the environment over the file, with the `config` crate.
pub(super) fn overlay(
    file: Table,
    env: &BTreeMap<String, String>,
    origin: &mut Origin,
    problems: &Problems,
) -> Result<Table, ConfigError> {
    let failed = |e: config::ConfigError| syntax("environment", &e.to_string());
    let mut builder = config::Config::builder().set_default(ROOT, branches(&file)).map_err(failed)?;
    for (variable, text) in env.iter().filter(|(variable, _)| variable.starts_with(PREFIX)) {
        match key_of(variable) {
            Ok(key) => {
                builder =
                    builder.set_override(format!("{ROOT}.{key}"), tree(&value_of(text))).map_err(failed)?;
                origin.overrides.insert(key, variable.clone());
            }
            Err(refusal) => problems.add(variable, "", refusal),
        }
    }
    builder.build().and_then(|layers| layers.get(ROOT)).map_err(failed)
}

/// `BREAKWATCH__STORAGE__PATH` to `storage.path`; an instrument's name keeps its capitals.
fn key_of(variable: &str) -> Result<String, Refusal> {
    let mut segments: Vec<String> =
        variable.trim_start_matches(PREFIX).split("__").map(str::to_lowercase).collect();
    let section = segments.first().cloned().unwrap_or_default();
    if !SECTIONS.contains(&section.as_str()) {
        let near = nearest(&section, SECTIONS).map(|near| format!("; did you mean {}?", quoted(near)));
        let text = format!(
            "{} cannot be set: the environment sets keys of [storage], [log], [retry] and [instrument.X] only{}",
            quoted(&section),
            near.unwrap_or_default()
        );
        return Err(Refusal { kind: ProblemKind::UnknownKey, text });
    }
    if let ("instrument", Some(root)) = (section.as_str(), segments.get_mut(1)) {
        *root = root.to_uppercase();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if segments.len() < 2 || segments.iter().any(|s| s.is_empty() || !s.chars().all(allowed)) {
        return Err("names no key; write BREAKWATCH__SECTION__KEY, like BREAKWATCH__STORAGE__PATH".into());
    }
    Ok(segments.join("."))
}

/// A variable holds a TOML value (`true`, `["0s", "5s"]`), or else a text.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A value as the `config` crate has it.
fn tree(value: &Value) -> config::Value {
    match value {
        Value::String(text) => config::Value::from(text.as_str()),
        Value::Integer(number) => config::Value::from(*number),
        Value::Float(number) => config::Value::from(*number),
        Value::Boolean(flag) => config::Value::from(*flag),
        Value::Datetime(time) => config::Value::from(time.to_string()),
        Value::Array(items) => config::Value::from(items.iter().map(tree).collect::<Vec<_>>()),
        Value::Table(table) => config::Value::from(branches(table)),
    }
}

fn branches(table: &Table) -> config::Map<String, config::Value> {
    table.iter().map(|(key, value)| (key.clone(), tree(value))).collect()
}

/// The files that `include` names, sorted, each once, without `main` itself.
pub(super) fn included(patterns: &Value, dir: &Path, main: &Path) -> Result<BTreeSet<PathBuf>, Refusal> {
    let mut files = BTreeSet::new();
    for pattern in value::list_of(value::line)(patterns)? {
        let shown = quoted(&pattern);
        let refused = |text: String| Refusal { kind: ProblemKind::File, text };
        let full = Path::new(&glob::Pattern::escape(&dir.to_string_lossy())).join(&pattern);
        let paths = glob::glob(&full.to_string_lossy())
            .map_err(|e| refused(format!("{shown} is not a pattern of file names ({})", e.msg)))?;
        let before = files.len();
        for path in paths {
            let path = path.map_err(|e| refused(format!("{shown}: {e}")))?;
            if path != main && path.is_file() {
                files.insert(path);
            }
            if files.len() > INCLUDED_MAX {
                return Err(refused(format!("{shown}: more than {INCLUDED_MAX} files")));
            }
        }
        let is_plain = !pattern.contains(['*', '?', '[']);
        if is_plain && files.len() == before && !dir.join(&pattern).is_file() {
            return Err(refused(format!("there is no file {shown}")));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_a_section_and_a_key() {
        assert_eq!(key_of("BREAKWATCH__STORAGE__PATH"), Ok("storage.path".into()));
        assert_eq!(key_of("BREAKWATCH__INSTRUMENT__RTY__ROLL"), Ok("instrument.RTY.roll".into()));
        for bad in
            ["BREAKWATCH__", "BREAKWATCH__STORAGE", "BREAKWATCH__LEVEL__0__NAME", "BREAKWATCH__LOG__A[9]"]
        {
            key_of(bad).unwrap_err();
        }
    }

    #[test]
    fn a_variable_holds_a_value_or_a_text() {
        assert_eq!(value_of("true"), Value::Boolean(true));
        assert_eq!(value_of("[\"0s\"]"), Value::Array(vec![Value::String("0s".into())]));
        assert_eq!(value_of("/var/lib/x"), Value::String("/var/lib/x".into()));
        assert_eq!(value_of("1\nother = 2"), Value::String("1\nother = 2".into()));
    }

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let error = parse("\u{feff}a = 1\r\nö = \"x\r\n", "f.toml").unwrap_err().to_string();
        assert!(error.starts_with("f.toml:2:"), "{error}");
    }
}
