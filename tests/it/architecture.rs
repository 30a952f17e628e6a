//! Who may import whom, and what the pure modules must not touch; checked against the sources themselves.
//!
//! The table is the design's own. A module that is not in it is an error, and so is a dependency that a pure
//! module uses before somebody wrote its name into [`PURE_CRATES`].

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scan::{Mention, What};

/// What a module may import.
enum May {
    /// These modules, and itself.
    Import(&'static [&'static str]),
    /// Every module that stands above it in the table.
    ImportAbove,
    /// Every module.
    ImportAll,
}

/// The import table, in reading order.
const TABLE: &[(&str, May)] = &[
    ("time", May::Import(&[])),
    ("market", May::Import(&["time"])),
    ("event", May::Import(&["time", "market"])),
    ("feed", May::Import(&["time", "market"])),
    ("engine", May::Import(&["time", "market", "event"])),
    ("outbox", May::Import(&["time", "market", "event"])),
    ("study", May::Import(&["time", "market", "event", "engine"])),
    ("chart", May::Import(&["time", "market", "event"])),
    ("store", May::Import(&["time", "market", "event", "engine", "outbox"])),
    // A letter is dated: the channels need the time of the attempt.
    ("deliver", May::Import(&["time", "outbox", "event", "chart"])),
    ("account", May::Import(&["time", "market", "feed"])),
    ("config", May::ImportAbove),
    ("daemon", May::ImportAbove),
    ("demo", May::Import(&["feed", "config", "daemon"])),
    ("cli", May::ImportAll),
    ("main", May::ImportAll),
    ("lib", May::ImportAll),
];

/// Modules without clock, randomness, async, file and socket.
const PURE: &[&str] = &["time", "market", "event", "feed", "engine", "outbox", "study", "chart"];

/// Dependencies that compute and do nothing else. Every other one is kept out of the pure modules.
const PURE_CRATES: &[&str] = &[
    "base64",
    "csv",
    "hmac",
    "httpdate",
    "humantime",
    "jiff",
    "minijinja",
    "resvg",
    "secrecy",
    "serde",
    "serde_json",
    "sha2",
    "smallvec",
    "strsim",
    "thiserror",
    "toml",
];

/// Parts of `std` that reach outside, or read a clock.
const IMPURE_STD: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

/// The part of `std::io` that is about memory.
const MEMORY_IO: &[&str] =
    &["BufRead", "Cursor", "Error", "ErrorKind", "Read", "Result", "Seek", "SeekFrom", "Write"];

/// Types that are clocks.
const CLOCKS: &[&str] = &["Instant", "SystemTime"];

/// Macros that write to the terminal.
const PRINTING: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

/// Longest source file, test modules not counted.
const LINES_MAX: usize = 500;

/// A source file of the package.
struct Source {
    /// Where, relative to `src`.
    file: PathBuf,
    /// Its path of modules; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    text: String,
}

impl Source {
    fn planted(module: &str, text: &str) -> Self {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        Self { file: PathBuf::from(module.join("/")), module, text: text.to_owned() }
    }

    /// Its line in the table.
    fn root(&self) -> String {
        let stem = || self.file.file_stem().map(|s| s.to_string_lossy().into_owned());
        self.module.first().cloned().or_else(stem).unwrap_or_default()
    }

    fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.file.display()))
    }
}

/// Everything that is wrong with the imports and the purity of one source file.
fn violations(source: &Source) -> Vec<String> {
    let root = source.root();
    let Some(allowed) = allowed(&root) else {
        return vec![format!("{}: module `{root}` is not in the import table", source.file.display())];
    };
    let pure = PURE.contains(&root.as_str());
    let dependencies = dependencies();
    scan::mentions(&source.syntax(), &source.module)
        .into_iter()
        .filter_map(|mention| {
            let wrong = hidden(&mention)
                .or_else(|| foreign(&mention, &root, &allowed))
                .or_else(|| if pure { impure(&mention, &dependencies) } else { None })?;
            Some(format!("{}:{}: {wrong}", source.file.display(), mention.line))
        })
        .collect()
}

/// The modules that `root` may name; `None` when the table does not know it.
fn allowed(root: &str) -> Option<BTreeSet<&'static str>> {
    let place = TABLE.iter().position(|(name, _)| *name == root)?;
    let (own, may) = &TABLE[place];
    let imports: Vec<&str> = match may {
        May::Import(list) => list.to_vec(),
        May::ImportAbove => TABLE[..place].iter().map(|(name, _)| *name).collect(),
        May::ImportAll => TABLE.iter().map(|(name, _)| *name).collect(),
    };
    Some(imports.into_iter().chain([*own]).collect())
}

/// Code that this test could not see.
fn hidden(mention: &Mention) -> Option<String> {
    match &mention.what {
        What::Macro(name) if name == "include" => Some("`include!` hides code from this check".into()),
        What::PathAttribute => Some("`#[path]` hides code from this check".into()),
        What::Macro(_) | What::Path(_) | What::Async | What::Method(_) => None,
    }
}

/// An import that the table does not have.
fn foreign(mention: &Mention, root: &str, allowed: &BTreeSet<&str>) -> Option<String> {
    let What::Path(path) = &mention.what else { return None };
    let [krate, rest @ ..] = &path[..] else { return None };
    let declares_all = TABLE.iter().any(|(name, may)| *name == root && matches!(may, May::ImportAll));
    if krate != "crate" || declares_all {
        return None;
    }
    match rest.first() {
        Some(target) if allowed.contains(target.as_str()) => None,
        Some(target) if target == "*" => Some(format!("`{root}` imports the whole crate")),
        Some(target) => Some(format!("`{root}` must not import `{target}`")),
        None => Some(format!("`{root}` imports the crate's root, so that nobody sees what it uses")),
    }
}

/// Something that a pure module must not have.
fn impure(mention: &Mention, dependencies: &BTreeSet<String>) -> Option<String> {
    match &mention.what {
        What::Async => Some("a pure module has no async".into()),
        What::Macro(name) if PRINTING.contains(&name.as_str()) => {
            Some(format!("a pure module has no `{name}!`"))
        }
        What::Method(name) if name == "now" => Some("a pure module asks no clock: `.now()`".into()),
        What::Path(path) => impure_path(path, dependencies),
        What::Macro(_) | What::Method(_) | What::PathAttribute => None,
    }
}

fn impure_path(path: &[String], dependencies: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let outside = match &words[..] {
        ["std", part, ..] if IMPURE_STD.contains(part) => true,
        ["std", "io", item, ..] => !MEMORY_IO.contains(item),
        ["std"] | ["std", "*"] => true,
        [krate, ..] => dependencies.contains(*krate) && !PURE_CRATES.contains(krate),
        [] => false,
    };
    let clock = match &words[..] {
        [_, .., "now"] | [.., "TimeZone", "system"] => true,
        _ => words.iter().any(|word| CLOCKS.contains(word)),
    };
    (outside || clock).then(|| format!("a pure module must not use `{}`", path.join("::")))
}

/// The names of the package's dependencies, as they are written in code.
fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = fs::read_to_string(package().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of the package, without those that are compiled for tests only.
fn sources() -> Vec<Source> {
    let src = package().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    let all: Vec<Source> = files.iter().map(|file| read(&src, file)).collect();
    let tests: BTreeSet<Vec<String>> = all.iter().flat_map(test_only).collect();
    all.into_iter().filter(|s| !tests.iter().any(|t| s.module.starts_with(t))).collect()
}

fn test_only(source: &Source) -> Vec<Vec<String>> {
    let below = |name: String| source.module.iter().cloned().chain([name]).collect();
    scan::test_modules(&source.syntax()).into_iter().map(below).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn read(src: &Path, file: &Path) -> Source {
    let relative = file.strip_prefix(src).unwrap().to_owned();
    let words = relative.with_extension("");
    let mut module: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| last == "mod");
    if module == ["lib"] || module == ["main"] {
        module.clear();
    }
    Source { file: relative, module, text: fs::read_to_string(file).unwrap() }
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n  {}\n", found.join("\n  "));
}

mod the_package {
    use super::*;

    #[test]
    fn every_module_imports_only_what_the_table_allows_and_pure_modules_stay_pure() {
        let all = sources();
        assert!(all.iter().any(|s| s.module == ["time"]), "the sources were not found");
        none(all.iter().flat_map(violations).collect());
    }

    #[test]
    fn every_file_says_its_duty_first() {
        let silent = |s: &Source| !s.text.starts_with("//!");
        none(sources().iter().filter(|s| silent(s)).map(|s| s.file.display().to_string()).collect());
    }

    #[test]
    fn no_file_is_longer_than_it_can_be_read() {
        let length = |s: &Source| s.text.lines().count() - scan::test_lines(&s.syntax());
        let lengths: BTreeMap<String, usize> =
            sources().iter().map(|s| (s.file.display().to_string(), length(s))).collect();
        none(
            lengths.iter().filter(|(_, n)| **n > LINES_MAX).map(|(f, n)| format!("{f}: {n} lines")).collect(),
        );
    }

    #[test]
    fn nothing_is_left_to_do() {
        none(sources().iter().flat_map(stubs).collect());
    }
}

/// Places that promise code instead of having it.
fn stubs(source: &Source) -> Vec<String> {
    let tokens = source.text.parse().unwrap_or_else(|e| panic!("{}: {e}", source.file.display()));
    let stub = |name: &str| name == "todo" || name == "unimplemented";
    let place = |(line, name): (usize, String)| {
        stub(&name).then(|| format!("{}:{line}: {name}!", source.file.display()))
    };
    scan::macros_everywhere(tokens).into_iter().filter_map(place).collect()
}

/// The checker itself: it must report what was planted, and nothing else.
mod planted {
    use super::*;

    #[track_caller]
    fn reported(module: &str, text: &str, expected: &str) {
        let found = violations(&Source::planted(module, text));
        assert!(found.iter().any(|f| f.contains(expected)), "in `{module}`: {text}\nreported: {found:?}");
    }

    #[track_caller]
    fn accepted(module: &str, text: &str) {
        none(violations(&Source::planted(module, text)));
    }

    #[test]
    fn an_import_that_is_not_in_the_table_is_reported_however_it_is_written() {
        let engine = "`feed` must not import `engine`";
        for text in [
            "use crate::engine::rule::Rule;",
            "use crate::engine;",
            "use crate::engine as moved;",
            "use crate::{time::Timestamp, engine::rule::{Rule, Fail as F}};",
            "use super::super::engine::rule::Rule;",
            "use super::{super::engine::rule::Rule, spec};",
            "use self::super::super::engine::rule;",
            "use breakwatch::engine::rule;",
            "pub use crate::engine::*;",
            "fn f() { crate::engine::rule::check(); }",
            "fn f(r: &crate::engine::rule::Rule) {}",
            "fn f() { use crate::engine::rule; }",
            "mod inner { fn f() { super::super::super::engine::run() } }",
            "use super::super as top; fn f() { top::engine::run() }",
            "use crate as all; fn f() { all::engine::run() }",
            "fn f() -> String { format!(\"{}\", crate::engine::run()) }",
            "macro_rules! m { () => { $crate::engine::run() }; }",
            "macro_rules! m { () => { use crate::{time, engine::run}; }; }",
            "#[derive(Serialize)] struct S { #[serde(with = \"crate::engine::wire\")] a: u8 }",
            "impl crate::engine::Sink for () {}",
            "#[cfg(not(test))] use crate::engine::rule;",
            "#[cfg(any(test, unix))] use crate::engine::rule;",
        ] {
            reported("feed::json", text, engine);
        }
    }

    #[test]
    fn the_crate_as_a_whole_cannot_be_imported() {
        reported("feed", "use crate::*;", "imports the whole crate");
        reported("feed", "use crate as all;", "imports the crate's root");
        reported("feed::json", "use super::super as all;", "imports the crate's root");
    }

    #[test]
    fn what_the_table_allows_is_accepted() {
        accepted("feed::json", "use crate::{market::price::Price, time::{self, Timestamp}};");
        accepted(
            "feed::json",
            "use super::session::Session; use crate::feed::backoff; use self::spec::Spec;",
        );
        accepted("config", "use crate::{store, deliver, engine, account, outbox};");
        accepted(
            "daemon::watch",
            "use crate::{config, store}; async fn f() { tokio::task::yield_now().await }",
        );
        accepted("cli::run", "use crate::{daemon, demo, time};");
        reported("config", "use crate::daemon;", "`config` must not import `daemon`");
        reported("demo", "use crate::store;", "`demo` must not import `store`");
        reported("daemon", "use crate::cli;", "`daemon` must not import `cli`");
    }

    #[test]
    fn a_module_that_the_table_does_not_know_is_reported() {
        reported("utils", "", "module `utils` is not in the import table");
        reported("utils::text", "", "module `utils` is not in the import table");
    }

    #[test]
    fn comments_strings_and_test_code_do_not_count() {
        accepted(
            "feed::json",
            r#"
            //! Never `use crate::engine;`, never std::fs::read, never Instant::now().
            /// See [`crate::engine::rule`].
            fn f() -> &'static str { "use crate::engine; SystemTime::now() async println!()" }
            #[cfg(test)]
            mod tests { use crate::engine::rule; fn f() { println!("{:?}", std::time::Instant::now()) } }
            #[cfg(all(test, unix))]
            use crate::engine;
            struct S;
            impl S { #[cfg(test)] fn g() { std::fs::read("x") } }
            "#,
        );
    }

    #[test]
    fn a_clock_in_a_pure_module_is_reported() {
        for text in [
            "use std::time::Instant;",
            "use std::time::{Duration, SystemTime as Wall};",
            "use std::time; fn f() { time::Instant::now(); }",
            "fn f() { jiff::Timestamp::now(); }",
            "use jiff::Zoned as Z; fn f() { Z::now(); }",
            "fn f() { let g = jiff::Zoned::now; }",
            "fn f() { jiff::tz::TimeZone::system(); }",
            "fn f() { clock.now() }",
            "fn f() { assert!(clock.now() > 1) }",
            "fn f() { assert!(std::time::SystemTime::now() > 1) }",
        ] {
            for module in PURE {
                reported(module, text, "a pure module");
            }
        }
        accepted(
            "engine",
            "use std::time::Duration; fn f(now: Timestamp) { now.since(x); state.now_open(); }",
        );
    }

    #[test]
    fn files_sockets_processes_threads_and_the_environment_are_reported() {
        for text in [
            "use std::fs;",
            "use std::{fmt, fs::File};",
            "use std as s; fn f() { s::fs::read(\"x\"); }",
            "fn f() { std::net::TcpStream::connect(\"x\"); }",
            "use std::process::Command;",
            "fn f() { std::thread::sleep(d); }",
            "fn f() { std::env::var(\"HOME\"); }",
            "use std::io; fn f() { io::stdin(); }",
            "use std::io::{self, stdout, Write};",
            "use std::os::unix::net::UnixStream;",
            "fn f() { let _ = format!(\"{}\", std::env::temp_dir()); }",
            "fn f() { println!(\"x\"); }",
            "fn f() { std::eprintln!(\"x\"); }",
            "fn f() { g(|| { dbg!(1) }) }",
        ] {
            reported("market", text, "a pure module");
        }
        accepted(
            "market",
            "use std::io::{self, BufRead, Read, Write, Cursor}; fn f() -> io::Result<()> { Ok(()) }",
        );
    }

    #[test]
    fn crates_that_reach_outside_are_reported() {
        for krate in
            ["tokio", "reqwest", "sqlx", "rand", "tokio_tungstenite", "lettre", "futures_util", "rustls"]
        {
            reported("engine::level", &format!("use {krate}::x;"), krate);
            reported("engine::level", &format!("use {krate} as y;"), krate);
            reported("engine::level", &format!("extern crate {krate} as y;"), krate);
            reported("engine::level", &format!("fn f() {{ {krate}::x() }}"), krate);
            reported("engine::level", &format!("#[{krate}::main] fn f() {{}}"), krate);
            accepted("daemon", &format!("use {krate}::x;"));
        }
        accepted("engine::level", "use serde::Serialize; use thiserror::Error;");
    }

    #[test]
    fn async_in_a_pure_module_is_reported() {
        for text in [
            "async fn f() {}",
            "fn f() { async { 1 }; }",
            "fn f() { async move |x: u8| x; }",
            "trait T { async fn f(); }",
            "impl S { async fn f() {} }",
            "fn f() { m!(async { 1 }) }",
        ] {
            reported("outbox", text, "a pure module has no async");
            accepted("store", text);
        }
    }

    #[test]
    fn code_that_cannot_be_seen_is_reported() {
        reported("daemon", "include!(\"x.rs\");", "hides code");
        reported("daemon", "#[path = \"x.rs\"] mod x;", "hides code");
        accepted("daemon", "const T: &str = include_str!(\"x.txt\");");
    }

    #[test]
    fn stubs_are_reported_in_test_code_too() {
        let source = Source::planted(
            "feed",
            "fn f() { todo!() } #[cfg(test)] mod t { fn g() { unimplemented!(\"x\") } }",
        );
        assert_eq!(stubs(&source).len(), 2);
        assert!(stubs(&Source::planted("feed", "// todo!()\nconst T: &str = \"todo!()\";")).is_empty());
    }

    #[test]
    fn test_modules_do_not_count_as_length() {
        let source = Source::planted("feed", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n");
        assert_eq!(scan::test_lines(&source.syntax()), 4);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_test_code() {
        let source = Source::planted("feed", "#[cfg(test)]\nmod tests;\nmod json;");
        assert_eq!(test_only(&source), [["feed", "tests"]]);
    }
}
