//! Wakes a channel's task when there is something for it to send.
//!
//! A hint only: the truth is the outbox, so a lost hint costs one poll interval.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

/// One bell for each channel.
#[derive(Clone, Debug, Default)]
pub struct Bells(Arc<BTreeMap<String, Arc<Notify>>>);

impl Bells {
    /// For these channels.
    #[must_use]
    pub fn new<'a>(channels: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Arc::new(channels.into_iter().map(|name| (name.to_owned(), Arc::default())).collect()))
    }

    /// The bell of a channel, to listen to.
    #[must_use]
    pub fn of(&self, channel: &str) -> Arc<Notify> {
        self.0.get(channel).cloned().unwrap_or_default()
    }

    /// Rings the bells of these channels.
    pub fn ring<'a>(&self, channels: impl IntoIterator<Item = &'a str>) {
        for bell in channels.into_iter().filter_map(|channel| self.0.get(channel)) {
            bell.notify_one();
        }
    }
}
