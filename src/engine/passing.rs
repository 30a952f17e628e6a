//! Time passes: timers, minutes and trade dates that are over.

use crate::engine::book::BookIndex;
use crate::engine::derive::{Day, Minute, News};
use crate::engine::guard::Print;
use crate::engine::index::LevelIndex;
use crate::engine::{Engine, Past, Step, index_of};
use crate::time::Timestamp;

impl Engine {
    pub(super) fn on_clock(&mut self, now: Timestamp, step: &mut Step) {
        let until = now.saturating_sub(self.limits.timer_slack);
        loop {
            let level = self.timers.first().copied().filter(|(at, _)| *at <= until);
            let book = self.book_timers.first().copied().filter(|(at, _)| *at <= until);
            match (level, book) {
                (Some((at, id)), Some((due, _))) if at < due => self.fire_timer(id, at, now, step),
                (_, Some((due, book))) => self.look(book, due, now, step),
                (Some((at, id)), None) => self.fire_timer(id, at, now, step),
                (None, None) => break,
            }
        }
        self.links_on_clock(now, step);
    }

    /// What was due in a book when its own market's time reached `at`, in order.
    pub(super) fn pass(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        while let Some(book) = self.books.get(id) {
            let level = book.timers.first().copied().filter(|(due, _)| *due <= at);
            let due = book.due.filter(|due| *due <= at);
            match (level, due) {
                (Some((first, level)), Some(due)) if first < due => self.fire_timer(level, first, now, step),
                (_, Some(due)) => self.look(id, due, now, step),
                (Some((first, level)), None) => self.fire_timer(level, first, now, step),
                (None, None) => return,
            }
        }
    }

    fn fire_timer(&mut self, id: LevelIndex, deadline: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.book_of(id) else { return };
        self.changed.insert(book);
        self.advance(book, deadline, now, step);
        let from = self.levels.get(index_of(id)).map(|level| level.rule.price_from).unwrap_or_default();
        let last = self.books.get(book).and_then(|book| book.last(from));
        self.with_level(id, deadline, now, None, step, |level, scene, facts| {
            level.on_time(last, scene, facts);
            // A deadline that has been served must not come again.
            level.deadline = level.deadline.filter(|again| *again > scene.at);
        });
    }

    /// A minute is over, or a derived place is due.
    fn look(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let over = self.books.get_mut(id).and_then(|book| book.minute_over(at));
        if let Some(minute) = over {
            self.minute_over(id, minute, now, step);
        }
        self.advance(id, at, now, step);
        self.expire(id, at, now, step);
        self.learn(id, &News::Clock(at), at, now, step);
        self.plan(id, Some(at));
    }

    /// Looks when the book is due next; later than `served`, whatever it says.
    pub(super) fn plan(&mut self, id: BookIndex, served: Option<Timestamp>) {
        let Some(book) = self.books.get_mut(id) else { return };
        let due = book.next_due().filter(|due| served.is_none_or(|served| *due > served));
        if due == book.due {
            return;
        }
        if let Some(before) = book.due {
            self.book_timers.remove(&(before, id));
        }
        book.due = due;
        if let Some(due) = due {
            self.book_timers.insert((due, id));
        }
    }

    /// Takes the time in; a trade date that is over is a lesson.
    pub(super) fn advance(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        let date = book.saved.trade_date;
        let day = book.advance(at);
        if book.saved.trade_date == date {
            return;
        }
        if let Some(minute) = self.books.get_mut(id).and_then(|book| book.minute_over(at)) {
            self.minute_over(id, minute, now, step);
        }
        if let Some(day) = day {
            self.day_over(id, day, at, now, step);
        }
        self.new_day(id, at, now, step);
        // Before the first trade date of all nobody watched anyway.
        if date != 0 {
            self.nobody_watches(id, at, now, step);
        }
    }

    fn day_over(&mut self, id: BookIndex, day: Day, at: Timestamp, now: Timestamp, step: &mut Step) {
        step.days.extend(self.past(id, day));
        self.learn(id, &News::Day(&day), at, now, step);
        self.set_records(id, &day, at, now, step);
        self.regrid(id, at, now, step);
    }

    pub(super) fn minute_over(&mut self, id: BookIndex, minute: Minute, now: Timestamp, step: &mut Step) {
        let end = minute.bar.end();
        step.minutes.extend(self.past(id, minute));
        self.learn(id, &News::Minute(&minute), end, now, step);
        self.after_minute(id, end, now, step);
    }

    fn past<T>(&self, id: BookIndex, what: T) -> Option<Past<T>> {
        let book = self.books.get(id)?;
        let front = book.pinned.is_none();
        Some(Past { instrument: book.instrument, month: book.pinned.or(book.saved.contract), front, what })
    }

    /// A trade was taken in; the minute before it may be over.
    pub(super) fn after_trade(&mut self, id: BookIndex, print: Print, over: Option<Minute>, step: &mut Step) {
        let fresh = self.books.get(id).is_some_and(|book| book.due.is_none() && book.minute.is_some());
        if let Some(minute) = over {
            self.minute_over(id, minute, print.received_at, step);
            self.plan(id, None);
        } else if fresh {
            self.plan(id, None);
        }
        self.measure(print, id);
    }
}
