//! What of the engine survives a restart, and how it is taken up again.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::engine::derive::Source;
use crate::engine::level::Level;
use crate::engine::link::SavedLink;
use crate::engine::rule::{Confirm, Half, PriceFrom, Rule, Terms};
use crate::engine::{Engine, Step, book, index_of, state};
use crate::event::{Side, Space};
use crate::market::price::Distance;
use crate::market::symbol::ContractMonth;
use crate::time::Timestamp;

/// A level's state under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedLevel {
    /// The rule's name.
    pub key: String,
    /// Of those keys that give the state its meaning; another fingerprint, another level.
    pub fingerprint: String,
    /// JSON.
    pub state: String,
}

/// A book's or feed's state under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedBook {
    /// The instrument, or `feed:` and its name.
    pub key: String,
    /// JSON.
    pub state: String,
}

/// Why a state could not be written or read.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The text of a state is damaged.
    #[error("the saved state of {key:?} cannot be read")]
    Unreadable {
        /// Whose.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A state has no text.
    #[error("the state of {key:?} cannot be written")]
    Unwritable {
        /// Whose.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What of a rule decides on which side of what price is. Text, distances of later steps and pauses may change
/// without the level forgetting what happened. The level's own price stands between this part and the next.
#[derive(Serialize)]
struct Where<'a> {
    root: &'a str,
    contract: Option<ContractMonth>,
}

/// See [`Where`].
#[derive(Serialize)]
struct How<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Source>,
    side: Side,
    space: Space,
    price_from: PriceFrom,
    strict: bool,
    margin: Distance,
    confirm: &'a [Confirm],
}

/// The fingerprints of many levels, most of which share their terms with the one before.
#[derive(Default)]
struct Fingerprints {
    terms: Option<Arc<Terms>>,
    head: String,
    tail: String,
}

impl Fingerprints {
    fn of(&mut self, root: &str, rule: &Rule) -> String {
        if self.terms.as_ref().is_none_or(|terms| !Arc::ptr_eq(terms, &rule.terms)) {
            self.turn_to(root, rule);
        }
        // The two parts and the price make one JSON object.
        let mut hash = Sha256::new();
        hash.update(self.head.trim_end_matches('}'));
        hash.update(",\"price\":\"");
        hash.update(rule.price.to_string());
        hash.update("\",");
        hash.update(self.tail.trim_start_matches('{'));
        let mut text = String::with_capacity(16);
        for byte in hash.finalize().iter().take(8) {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text
    }

    fn turn_to(&mut self, root: &str, rule: &Rule) {
        let head = Where { root, contract: rule.contract };
        let tail = How {
            source: rule.source.as_ref().filter(|_| !rule.is_priced()),
            side: rule.side,
            space: rule.space,
            price_from: rule.price_from,
            strict: rule.strict,
            margin: rule.margin,
            confirm: &rule.confirm,
        };
        self.head = serde_json::to_string(&head).unwrap_or_default();
        self.tail = serde_json::to_string(&tail).unwrap_or_default();
        self.terms = Some(Arc::clone(&rule.terms));
    }
}

fn write<T: Serialize>(key: &str, value: &T) -> Result<String, SavedError> {
    serde_json::to_string(value).map_err(|source| SavedError::Unwritable { key: key.to_owned(), source })
}

fn read<T: for<'de> Deserialize<'de>>(key: &str, text: &str) -> Result<T, SavedError> {
    serde_json::from_str(text).map_err(|source| SavedError::Unreadable { key: key.to_owned(), source })
}

impl Engine {
    /// The states of the levels that a step changed.
    ///
    /// # Errors
    /// When a state has no text, which would be a defect.
    pub fn saved_levels(&self, step: &Step) -> Result<Vec<SavedLevel>, SavedError> {
        let changed = step.levels.iter().filter_map(|id| self.levels.get(index_of(*id)));
        let mut fingerprints = Fingerprints::default();
        // A price that places many levels leaves most of them in the same state.
        let mut last: Option<(&state::State, String)> = None;
        let mut saved = Vec::with_capacity(step.levels.len());
        for level in changed {
            let root = self.instruments.get(level.rule.instrument.index()).map_or("", |i| i.root.as_str());
            let text = match last {
                Some((state, text)) if *state == level.state => text,
                Some(_) | None => write(&level.rule.name, &level.state)?,
            };
            saved.push(SavedLevel {
                key: key_of(level),
                fingerprint: fingerprints.of(root, &level.rule),
                state: text.clone(),
            });
            last = Some((&level.state, text));
        }
        Ok(saved)
    }

    /// The states of the books that changed since [`Engine::saved`] was last called, and of all feeds: how far the
    /// stream of prints was read.
    ///
    /// # Errors
    /// When a state has no text, which would be a defect.
    pub fn saved_books(&self) -> Result<Vec<SavedBook>, SavedError> {
        let changed = self.changed.sorted();
        let books = changed.iter().filter_map(|id| self.books.get(*id)).map(|book| {
            let key = book.key();
            write(&key, &book.saved).map(|state| SavedBook { key, state })
        });
        let links = self.links.iter().map(|link| {
            let key = link.key();
            write(&key, &link.saved).map(|state| SavedBook { key, state })
        });
        books.chain(links).collect()
    }

    /// What [`Engine::saved_books`] returned is on disk.
    pub fn saved(&mut self) {
        self.changed.clear();
    }

    /// Takes up where an earlier process ended. Levels whose meaning changed begin anew; the names of those
    /// that are no longer in the configuration are returned.
    ///
    /// # Errors
    /// When a saved text is damaged.
    pub fn restore(
        &mut self,
        levels: &[SavedLevel],
        books: &[SavedBook],
        now: Timestamp,
    ) -> Result<Vec<String>, SavedError> {
        let known: HashMap<&str, &str> = books.iter().map(|saved| (&*saved.key, &*saved.state)).collect();
        for book in &mut self.books {
            let key = book.key();
            if let Some(state) = known.get(&*key) {
                book.restore(read::<book::Saved>(&key, state)?, now);
            }
        }
        for link in &mut self.links {
            let key = link.key();
            if let Some(state) = known.get(&*key) {
                link.saved = read::<SavedLink>(&key, state)?;
            }
        }
        let names =
            levels.iter().map(|saved| saved.key.split_once('\n').map_or(&*saved.key, |(name, _)| name));
        self.make_again(names);
        let names = self.levels.iter().enumerate().map(|(at, level)| (key_of(level), at));
        let places: HashMap<String, usize> = names.collect();
        let mut gone = Vec::new();
        let mut fingerprints = Fingerprints::default();
        for saved in levels {
            match places.get(&saved.key) {
                Some(at) => self.restore_level(*at, saved, &mut fingerprints, now)?,
                None => gone.push(saved.key.clone()),
            }
        }
        for book in 0..self.books.len() {
            self.plan_expiry(book);
            let mut step = Step::default();
            self.rebase(book, now, now, &mut step);
        }
        Ok(gone)
    }

    fn restore_level(
        &mut self,
        at: usize,
        saved: &SavedLevel,
        fingerprints: &mut Fingerprints,
        now: Timestamp,
    ) -> Result<(), SavedError> {
        let Some(level) = self.levels.get_mut(at) else { return Ok(()) };
        let root = self.instruments.get(level.rule.instrument.index()).map_or("", |i| i.root.as_str());
        if fingerprints.of(root, &level.rule) != saved.fingerprint {
            return Ok(());
        }
        let state = read::<state::State>(&saved.key, &saved.state)?;
        let Ok(id) = u32::try_from(at) else { return Ok(()) };
        let Some(place) = self.book_of(id) else { return Ok(()) };
        let Some((grid, then)) = self.books.get(place).map(|book| (book.grid(), book.saved.last_at)) else {
            return Ok(());
        };
        let Some(level) = self.levels.get_mut(at) else { return Ok(()) };
        let (wake, deadline, from) = (level.wake(grid), level.deadline, level.at);
        level.restore(state);
        let to = level.at;
        self.file(id, wake, deadline);
        self.file_price(id, from, to);
        let mut step = Step::default();
        // Nobody has watched since the earlier process ended.
        self.with_level(id, then.unwrap_or(now), now, None, &mut step, |level, scene, _| {
            level.on_feed_lost(scene)
        });
        Ok(())
    }
}

/// The name under which a level's state is saved: a line break, which no name has, sets the second half apart.
pub(super) fn key_of(level: &Level) -> String {
    match level.rule.half {
        Some(Half::Second) => format!("{}\n2", level.rule.name),
        Some(Half::First) | None => level.rule.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::tick::InstrumentId;

    #[test]
    fn a_fingerprint_stays_what_it_was_in_an_earlier_process() {
        let terms = Arc::new(Terms::plain(InstrumentId(0)));
        let support = Arc::new(Terms { side: Side::Support, ..Terms::plain(InstrumentId(0)) });
        let of = |price: &str, terms: &Arc<Terms>, list: &mut Fingerprints| {
            let rule = Rule { name: "a".into(), price: price.parse().unwrap(), terms: Arc::clone(terms) };
            list.of("RTY", &rule)
        };
        // As one object: root, contract, price, and the rest in the order of the fields.
        let whole = |price: &str, side: &str| {
            let text = format!(
                r#"{{"root":"RTY","contract":null,"price":"{price}","side":"{side}","space":"contract","price_from":"trade","strict":false,"margin":"0 ticks","confirm":[]}}"#
            );
            let hex: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            hex
        };
        let mut list = Fingerprints::default();
        assert_eq!(of("2500", &terms, &mut list), whole("2500", "resistance"));
        assert_eq!(of("2500.1", &terms, &mut list), whole("2500.1", "resistance"));
        assert_eq!(of("2500.1", &support, &mut list), whole("2500.1", "support"));
        assert_eq!(of("2500", &terms, &mut list), whole("2500", "resistance"));
    }
}
