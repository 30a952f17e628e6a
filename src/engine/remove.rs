//! Levels that a person takes away while the engine runs.

use std::collections::BTreeSet;

use crate::engine::index::LevelIndex;
use crate::engine::marks::Wake;
use crate::engine::{Engine, index_of, saved};

/// The book of a level that was removed: there is none with this number.
const NO_BOOK: u32 = u32::MAX;

impl Engine {
    /// Watches the levels of these names no more, for good: neither price nor time finds them again. A story that
    /// is being told ends without a word. Returns the keys of their saved states. To be called between two steps,
    /// when everything that changed is saved.
    pub fn remove(&mut self, names: &BTreeSet<String>) -> Vec<String> {
        if names.is_empty() {
            return Vec::new();
        }
        let mut keys = Vec::new();
        let mut gone = BTreeSet::new();
        for (id, level) in (0..).zip(&self.levels) {
            if names.contains(&*level.rule.name) && self.book_of(id).is_some_and(|at| at < self.books.len()) {
                keys.push(saved::key_of(level));
                gone.insert(id);
            }
        }
        for id in &gone {
            self.take_out(*id);
        }
        for book in &mut self.books {
            book.in_atr.retain(|level| !gone.contains(level));
            book.in_index.retain(|level| !gone.contains(level));
            for derived in &mut book.derived {
                derived.levels.retain(|level| !gone.contains(level));
            }
        }
        keys
    }

    /// Takes a level out of its book; its place in the list stays, since others are counted by it.
    fn take_out(&mut self, id: LevelIndex) {
        let (Some(level), Some(at)) = (self.levels.get(index_of(id)), self.book_of(id)) else { return };
        let Some(book) = self.books.get_mut(at) else { return };
        let wake = level.wake(book.grid());
        if let Some(lane) = book.lane_mut(level.rule.price_from) {
            lane.index.update(id, wake, Wake::default());
        }
        if let Some(price) = level.at {
            book.prices.remove(&(price, id));
        }
        if let Some(deadline) = level.deadline {
            book.timers.remove(&(deadline, id));
            self.timers.remove(&(deadline, id));
        }
        book.quoted.remove(&id);
        if let Some(place) = self.level_book.get_mut(index_of(id)) {
            *place = NO_BOOK;
        }
    }
}
