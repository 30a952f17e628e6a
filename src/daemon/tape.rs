//! Writes what a feed's session is told to a file, as it happens.
//!
//! Writing waits for the disk, on purpose: a recording that cannot keep up must hold its feed back, and not lose a
//! line. So only `record` writes tapes, which has nothing else to do.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::feed::protocol::Protocol;
use crate::feed::session::{Input, Moment, Now};
use crate::feed::tape::{Asked, Event, Header, Row, What};

/// What waits to be written is at most about so much; it is written at every round of the feed, too.
const BUFFER: usize = 256 << 10;

/// How much has been recorded, for whoever looks.
#[derive(Debug, Default)]
pub struct Amount {
    /// Messages.
    pub frames: AtomicU64,
    /// Bytes of the file.
    pub bytes: AtomicU64,
}

/// A tape that is being written.
#[derive(Debug)]
pub struct Tape {
    file: File,
    buffer: Vec<u8>,
    amount: Arc<Amount>,
    /// What was last told about the market; it is told again at every round.
    market: Option<bool>,
    /// The first failure; then the tape takes nothing more.
    failed: Option<io::Error>,
}

impl Tape {
    /// A new file that only its owner can read, with its header. An existing one is not touched.
    ///
    /// # Errors
    /// When it exists, or cannot be written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Self::begin(file, header)
    }

    fn begin(file: File, header: &Header) -> io::Result<Self> {
        let mut buffer = Vec::with_capacity(BUFFER);
        serde_json::to_writer(&mut buffer, header)?;
        buffer.push(b'\n');
        let mut tape = Self { file, buffer, amount: Arc::default(), market: None, failed: None };
        tape.flush()?;
        Ok(tape)
    }

    /// How much has been recorded.
    #[must_use]
    pub fn amount(&self) -> Arc<Amount> {
        Arc::clone(&self.amount)
    }

    /// Takes down what a session was told, after it has heard it. `did` says that it had something done.
    pub fn told(&mut self, input: &Input<'_>, now: Now, did: bool, protocol: &impl Protocol) {
        let worth = match input {
            // A timer that does nothing changes nothing.
            Input::Timer => did,
            Input::Market { open } => self.market.replace(*open) != Some(*open),
            Input::Frame(_) => {
                self.amount.frames.fetch_add(1, Ordering::Relaxed);
                true
            }
            Input::Start | Input::Connected | Input::Failed(_) | Input::Heard | Input::Closed(_) => true,
        };
        if worth {
            self.put(now, What::of(input, |text| protocol.scrub(text)));
        }
    }

    /// Takes down what is asked for on the next connection.
    pub fn asked(&mut self, asked: Asked, now: Now) {
        self.put(now, What::Event(Event::Asked(asked)));
    }

    fn put(&mut self, now: Now, what: What) {
        if self.failed.is_some() {
            return;
        }
        let Now { moment: Moment(up), wall: at, jitter: _ } = now;
        let written = Row { at, up: Moment(up), what }.write(&mut self.buffer).map_err(io::Error::from);
        let full = self.buffer.len() >= BUFFER;
        self.failed = written.and_then(|()| if full { self.flush() } else { Ok(()) }).err();
    }

    /// Hands everything to the system, so that it survives the end of the process.
    ///
    /// # Errors
    /// When this or anything before could not be written.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.file.write_all(&self.buffer)?;
        let bytes = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.amount.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.buffer.clear();
        Ok(())
    }

    /// Hands everything to the disk.
    ///
    /// # Errors
    /// When this or anything before could not be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::time::Timestamp;

    fn header() -> Header {
        Header::new("venue", "json", Timestamp::from_nanos(0), String::new())
    }

    fn now() -> Now {
        Now { moment: Moment::default(), wall: Timestamp::from_nanos(7), jitter: 0 }
    }

    #[test]
    fn a_new_tape_is_for_its_owner_only_and_an_old_one_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        drop(Tape::create(&path, &header()).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "dear").unwrap();
        assert_eq!(Tape::create(&path, &header()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear");
    }

    #[test]
    fn a_full_disk_is_an_error_at_once_or_at_the_next_round() {
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(Tape::begin(full(), &header()).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let file = full();
        let mut tape = Tape { file, buffer: Vec::new(), amount: Arc::default(), market: None, failed: None };
        let text = "x".repeat(BUFFER);
        tape.put(now(), What::Text(text));
        tape.put(now(), What::Text("more".to_owned()));
        assert_eq!(tape.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
