//! Levels that people add and remove beside the configuration file: taken from the ledger, at the start and while
//! the daemon runs.
//!
//! The file wins: a level of the ledger whose name stands in the file is not watched.

use std::collections::{BTreeSet, HashSet};

use tracing::{error, warn};

use crate::config::Config;
use crate::config::stored::Reader;
use crate::engine::rule::Rule;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::rules::StoredRule;

/// So many levels that cannot be watched are named.
const NAMED_MAX: usize = 20;

/// Reads the levels of the ledger.
#[derive(Debug)]
pub struct Rules {
    reader: Reader,
    in_file: HashSet<Box<str>>,
    /// The last change that was taken up.
    seen: i64,
}

/// What changed.
#[derive(Debug, Default)]
pub struct News {
    /// Names of levels that are no longer watched.
    pub removed: BTreeSet<String>,
    /// Levels that are watched from now on.
    pub added: Vec<Rule>,
}

impl Rules {
    /// For a configuration; nothing is read yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let in_file = config.levels.iter().map(|rule| rule.name.clone()).collect();
        Self { reader: Reader::new(config), in_file, seen: 0 }
    }

    /// All levels of the ledger, at the start.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn begin(&mut self, store: &Store) -> Result<Vec<Rule>, StoreError> {
        store.forget_removed_rules().await?;
        Ok(self.read(store.history().rules(self.seen).await?).added)
    }

    /// What was added and removed since the last time; `None` when nothing was.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn news(&mut self, history: &History) -> Result<Option<News>, StoreError> {
        if history.rules_change().await? <= self.seen {
            return Ok(None);
        }
        Ok(Some(self.read(history.rules(self.seen).await?)))
    }

    fn read(&mut self, rows: Vec<StoredRule>) -> News {
        let (mut news, mut refused) = (News::default(), 0usize);
        for row in rows {
            self.seen = self.seen.max(row.change);
            if let Err(why) = self.take(&row, &mut news) {
                refused = refused.saturating_add(1);
                if refused <= NAMED_MAX {
                    error!(level = row.name, why, "a level of the database is NOT WATCHED");
                }
            }
        }
        if refused > NAMED_MAX {
            error!(count = refused, "levels of the database are NOT WATCHED");
        }
        news
    }

    fn take(&mut self, row: &StoredRule, news: &mut News) -> Result<(), String> {
        if self.in_file.contains(row.name.as_str()) {
            if !row.removed {
                warn!(
                    level = row.name,
                    "stands in the file and in the database; the file's level is watched"
                );
            }
        } else if row.removed {
            news.removed.insert(row.name.clone());
        } else {
            news.added.extend(self.reader.rules(&row.name, &row.price, &row.terms)?);
        }
        Ok(())
    }
}
