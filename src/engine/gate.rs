//! What must be true beside the price: sessions, days, times, and what other instruments do.

use crate::engine::book::{Book, BooksOf};
use crate::engine::rule::{PriceFrom, Strength, Terms, When};
use crate::engine::scene::{Remark, Scene};
use crate::market::price::Price;
use crate::market::tick::InstrumentId;
use crate::market::trade_date::number_of;

/// All books, for conditions on other instruments.
#[derive(Clone, Copy, Debug)]
pub struct Market<'a> {
    /// Every book.
    pub books: &'a [Book],
    /// Which books an instrument has; the first one that is not pinned is its front.
    pub by_instrument: &'a [BooksOf],
}

impl<'a> Market<'a> {
    /// The front of an instrument.
    #[must_use]
    pub fn front(&self, id: InstrumentId) -> Option<&'a Book> {
        let of_instrument = self.by_instrument.get(id.index())?;
        let mut books = of_instrument.iter().filter_map(|book| self.books.get(*book));
        books.find(|book| book.pinned.is_none())
    }
}

/// Whether a crossing may count at this time; else why not.
#[must_use]
pub fn closed(terms: &Terms, scene: &Scene<'_>) -> Option<Remark> {
    if !terms.sessions.admits(scene.book.session.phase) {
        return Some(Remark::OutsideSessions);
    }
    if terms.starts.is_some_and(|start| scene.at < start) {
        return Some(Remark::NotYetValid);
    }
    if !terms.days.has(scene.book.session.trade_date.weekday()) {
        return Some(Remark::OutsideDays);
    }
    let zone = scene.book.calendar.zone();
    let within = terms.between.as_ref().is_none_or(|between| between.holds(scene.at, &between.clock(zone)));
    if within { None } else { Some(Remark::OutsideTimes) }
}

/// Whether everything that the rule asks of other instruments holds; else why not.
#[must_use]
pub fn barred(terms: &Terms, scene: &Scene<'_>) -> Option<Remark> {
    match all(&terms.when, scene) {
        Some(true) => None,
        Some(false) => Some(Remark::ConditionFalse),
        None => Some(Remark::ConditionUnknown),
    }
}

/// Whether a condition holds; `None` when nobody knows.
#[must_use]
pub fn holds(when: &When, scene: &Scene<'_>) -> Option<bool> {
    match when {
        When::Above(id, price) => last(*id, scene).map(|last| last >= *price),
        When::Below(id, price) => last(*id, scene).map(|last| last <= *price),
        When::Stronger(strength) => lead(strength, scene).map(|lead| lead >= strength.by),
        When::Weaker(strength) => lead(strength, scene).map(|lead| lead.negated() >= strength.by),
        When::Any(conditions) => any(conditions, scene),
        When::All(conditions) => all(conditions, scene),
    }
}

/// One false condition decides, whatever is unknown.
fn all(conditions: &[When], scene: &Scene<'_>) -> Option<bool> {
    let mut known = true;
    for condition in conditions {
        match holds(condition, scene) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// One true condition decides, whatever is unknown.
fn any(conditions: &[When], scene: &Scene<'_>) -> Option<bool> {
    let mut known = true;
    for condition in conditions {
        match holds(condition, scene) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

/// The last trade of an instrument that is being watched, if it is of the trade date in progress.
fn last(id: InstrumentId, scene: &Scene<'_>) -> Option<Price> {
    let book = scene.market.front(id)?;
    let last = book.watched_last(PriceFrom::Trade)?;
    let today = number_of(book.calendar.state(scene.at).trade_date);
    (book.saved.trade_date == today).then_some(last)
}

/// How much better one instrument did than the other, in units of 1e-9 of a percent.
fn lead(strength: &Strength, scene: &Scene<'_>) -> Option<Price> {
    let since = scene.at.saturating_sub(strength.over);
    let change = |id: InstrumentId| {
        let (now, then) = (last(id, scene)?, scene.market.front(id)?.closes.at(since)?);
        share(now.minus(then), then)
    };
    Some(change(strength.of)?.minus(change(strength.than)?))
}

/// `part` of `whole` in units of 1e-9 of a percent.
fn share(part: Price, whole: Price) -> Option<Price> {
    const PERCENT: i128 = 100_000_000_000;
    let scaled = i128::from(part.as_nanos()).checked_mul(PERCENT)?;
    i64::try_from(scaled.checked_div(i128::from(whole.as_nanos()))?).ok().map(Price::from_nanos)
}
