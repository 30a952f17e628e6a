//! A table of the file with its place in it, from which values are read key by key.
//!
//! Whatever is wrong is told to the [`Problems`] with its place; the reading goes on.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::file::Shape;
use super::problem::{ProblemKind, Problems, Refusal, hint, not_available, quoted, shown};

/// One table of the file, with its place. Whoever opens it has its unknown keys told.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    table: &'a Table,
    shape: &'static Shape,
    origin: &'a Origin,
    /// Stands before a key in messages: `storage.`, `level "2500": `.
    prefix: String,
    problems: &'a Problems,
}

/// Where a tree of values comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The file.
    pub(super) file: String,
    /// Keys (`storage.path`) that the environment sets, with the variable.
    pub(super) overrides: BTreeMap<String, String>,
}

impl Origin {
    fn of(&self, path: &str) -> &str {
        self.overrides.get(path).unwrap_or(&self.file)
    }
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(
        table: &'a Table,
        shape: &'static Shape,
        origin: &'a Origin,
        problems: &'a Problems,
    ) -> Self {
        Self::at(table, shape, origin, String::new(), problems)
    }

    /// A table that stands alone; `prefix` stands before its keys in messages.
    pub(super) fn at(
        table: &'a Table,
        shape: &'static Shape,
        origin: &'a Origin,
        prefix: String,
        problems: &'a Problems,
    ) -> Self {
        let section = Self { table, shape, origin, prefix, problems };
        section.check_keys();
        section
    }

    /// The table itself.
    pub(super) const fn table(&self) -> &'a Table {
        self.table
    }

    /// A key's value.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        debug_assert!(self.shape.keys.contains(&key), "{key} is not in the shape of {}", self.shape.name);
        #[cfg(test)]
        tests::note_read(self.shape.name, key);
        self.table.get(key)
    }

    /// Reads a key's value; `None` when it is not there, or is refused and told.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        match read(self.get(key)?) {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.refuse(key, refusal);
                None
            }
        }
    }

    /// Reads a key that must be there; `right` says what it could be.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        right: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        if self.get(key).is_none() {
            let text = format!("is missing; {right}");
            self.refuse(key, Refusal { kind: ProblemKind::Missing, text });
        }
        self.read(key, read)
    }

    /// The table under a key.
    pub(super) fn section(&self, key: &'static str, shape: &'static Shape) -> Option<Self> {
        let table = self.read(key, table)?;
        Some(self.inner(table, shape, format!("{}{key}.", self.prefix)))
    }

    /// The tables of a list, with their place in it.
    pub(super) fn sections(&self, key: &'static str, shape: &'static Shape) -> Vec<Self> {
        let items = self.read(key, list).unwrap_or_default();
        let end = if self.prefix.is_empty() { ": " } else { "." };
        let mut sections = Vec::with_capacity(items.len());
        for (n, item) in (1_usize..).zip(items) {
            match table(item) {
                Ok(table) => {
                    sections.push(self.inner(table, shape, format!("{}{key} #{n}{end}", self.prefix)));
                }
                Err(refusal) => self.refuse_at(&format!("{key} #{n}"), refusal),
            }
        }
        sections
    }

    /// The tables of a list whose items have names: messages call them by name where there is one. `shape`
    /// may depend on the item's `kind`.
    pub(super) fn named(
        &self,
        key: &'static str,
        shape: impl Fn(&'a Table) -> Result<&'static Shape, Refusal>,
    ) -> Vec<Self> {
        let items = self.read(key, list).unwrap_or_default();
        let mut sections = Vec::with_capacity(items.len());
        for (n, item) in (1_usize..).zip(items) {
            let name = item.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
            let place = name.map_or_else(|| format!("{key} #{n}"), |name| format!("{key} {}", quoted(name)));
            let table = match table(item) {
                Ok(table) => table,
                Err(refusal) => {
                    self.refuse_at(&place, refusal);
                    continue;
                }
            };
            match shape(table) {
                Ok(shape) => sections.push(self.inner(table, shape, format!("{place}: "))),
                Err(refusal) => self.refuse_at(&format!("{place}: kind"), refusal),
            }
        }
        sections
    }

    /// A table that was found in this one; `prefix` stands before its keys in messages.
    pub(super) fn inner(&self, table: &'a Table, shape: &'static Shape, prefix: String) -> Self {
        let section = self.opened(table, shape, prefix);
        section.check_keys();
        section
    }

    /// The same of a table that was opened before, whose unknown keys have been told.
    pub(super) fn opened(&self, table: &'a Table, shape: &'static Shape, prefix: String) -> Self {
        Self { table, shape, origin: self.origin, prefix, problems: self.problems }
    }

    /// The table under a key whose shape depends on what stands in it.
    pub(super) fn section_of(
        &self,
        key: &'static str,
        shape: impl FnOnce(&'a Table) -> Result<&'static Shape, Refusal>,
    ) -> Option<Self> {
        let table = self.read(key, table)?;
        match shape(table) {
            Ok(shape) => Some(self.inner(table, shape, format!("{}{key}.", self.prefix))),
            Err(refusal) => {
                self.refuse_at(&format!("{key}.kind"), refusal);
                None
            }
        }
    }

    /// What stands before its keys in messages.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether nothing stands in the table.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Tells what is wrong with a key's value.
    pub(super) fn refuse(&self, key: &'static str, refusal: impl Into<Refusal>) {
        self.refuse_at(key, refusal);
    }

    /// Tells what is wrong at a place below this table.
    pub(super) fn refuse_at(&self, place: &str, refusal: impl Into<Refusal>) {
        let path = format!("{}{place}", self.prefix);
        self.problems.add(self.origin.of(&path), &path, refusal.into());
    }

    /// Tells what is wrong with the table as a whole.
    pub(super) fn refuse_whole(&self, refusal: impl Into<Refusal>) {
        let path = self.place();
        self.problems.add(self.origin.of(path), path, refusal.into());
    }

    /// Tells a warning about the table as a whole.
    pub(super) fn warn(&self, text: impl Into<String>) {
        self.problems.warn(&self.origin.file, self.place(), text.into());
    }

    /// What stands before the keys of a table at `place` below this one.
    pub(super) fn path(&self, place: &str) -> String {
        format!("{}{place}.", self.prefix)
    }

    /// How messages call this table.
    pub(super) fn place(&self) -> &str {
        self.prefix.trim_end_matches(['.', ':', ' '])
    }

    fn check_keys(&self) {
        for key in self.table.keys() {
            if self.shape.keys.contains(&key.as_str()) {
                continue;
            }
            let origin = self.origin.of(&format!("{}{key}", self.prefix));
            let refusal = match self.shape.later.iter().find(|(later, _)| later == key) {
                // A section that only opens a door leaves everything else as it is: no reason not to start.
                Some((later, _)) if self.prefix.is_empty() => {
                    let text = format!("[{later}] is not available in this version and changes nothing");
                    self.problems.warn(origin, self.place(), text);
                    continue;
                }
                Some((later, available)) => not_available(later, available),
                None => self.unknown(key),
            };
            self.problems.add(origin, self.place(), refusal);
        }
    }

    fn unknown(&self, key: &str) -> Refusal {
        let text = format!("unknown key {}{}", quoted(key), hint(key, self.shape.keys.iter().copied()));
        Refusal { kind: ProblemKind::UnknownKey, text }
    }
}

/// A table.
pub(super) fn table(value: &Value) -> Result<&Table, Refusal> {
    value.as_table().ok_or_else(|| format!("{} is not a table", shown(value)).into())
}

/// A list.
pub(super) fn list(value: &Value) -> Result<&[Value], Refusal> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{} is not a list", shown(value)).into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        /// Which keys of which shapes this thread has read.
        static READ: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note_read(shape: &'static str, key: &'static str) {
        READ.with_borrow_mut(|read| read.insert((shape, key)));
    }

    /// Every key that this thread has read.
    pub(in crate::config) fn read_keys() -> BTreeSet<(&'static str, &'static str)> {
        READ.take()
    }
}
