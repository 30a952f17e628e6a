//! Which books changed since they were last saved. Marking one costs the same however many there are.
//!
//! Must not decide what a change is.

use crate::engine::book::BookIndex;

/// A set of books.
#[derive(Debug, Default)]
pub(super) struct Changed {
    is_in: Vec<bool>,
    list: Vec<BookIndex>,
}

impl Changed {
    /// Marks a book.
    pub(super) fn insert(&mut self, book: BookIndex) {
        if self.is_in.get(book) == Some(&true) {
            return;
        }
        if self.is_in.len() <= book {
            self.is_in.resize(book.saturating_add(1), false);
        }
        if let Some(is_in) = self.is_in.get_mut(book) {
            *is_in = true;
        }
        self.list.push(book);
    }

    /// All that are marked, in order.
    pub(super) fn sorted(&self) -> Vec<BookIndex> {
        let mut list = self.list.clone();
        list.sort_unstable();
        list
    }

    /// Marks none.
    pub(super) fn clear(&mut self) {
        for book in self.list.drain(..) {
            if let Some(is_in) = self.is_in.get_mut(book) {
                *is_in = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_listed_once_until_it_was_saved() {
        let mut changed = Changed::default();
        for book in [7, 2, 7, 2] {
            changed.insert(book);
        }
        assert_eq!(changed.sorted(), [2, 7]);
        changed.clear();
        assert!(changed.sorted().is_empty());
        changed.insert(7);
        assert_eq!(changed.sorted(), [7]);
    }
}
