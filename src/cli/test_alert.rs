//! `breakwatch test-alert`: a marked test through the real channels, and what each peer answered.

use std::path::Path;

use serde::Serialize;

use crate::cli::events::words;
use crate::cli::output::{print, print_json};
use crate::cli::{CliError, Exit, load, runtime};
use crate::daemon::clock::Clock;
use crate::daemon::words::Words;
use crate::deliver::{Channel, Letter};
use crate::event::{Event, Kind, Numbers, Reason, ThreadId};
use crate::outbox::Outcome;
use crate::outbox::message::Context;

/// Send a marked test through the real channels.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch test-alert mail")]
pub struct Args {
    /// Only this channel
    channel: Option<String>,
    /// Print one JSON object per recipient
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    channel: String,
    to: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or there is no such channel.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let mut config = load(path)?;
    if let Some(wanted) = &args.channel {
        let names: Vec<String> = config.channels.iter().map(|channel| channel.name.clone()).collect();
        config.channels.retain(|channel| channel.name == *wanted);
        if config.channels.is_empty() {
            return Err(CliError::Usage(format!(
                "no channel is named {wanted:?}; there are: {}",
                names.join(", ")
            )));
        }
    }
    // Only the channels are needed here: a feed's secrets may be elsewhere.
    config.feeds.clear();
    let secrets = super::run::read_secrets(&config)?;
    let answers = runtime()?.block_on(async {
        let mut answers = Vec::new();
        let names = config.channels.iter().map(|channel| channel.name.clone());
        let words = config.channels.iter().map(|channel| Words::new(channel.templates.clone()));
        for ((name, settings), words) in names.zip(secrets.channels).zip(words) {
            let channel = Channel::open(settings)
                .map_err(|source| CliError::io(format!("channel {name:?} cannot be used"), source))?;
            answers.extend(test(&name, &channel, &words).await);
        }
        Ok::<_, CliError>(answers)
    })?;
    let failed = answers.iter().any(|answer| !matches!(answer.outcome, Outcome::Accepted { .. }));
    for answer in &answers {
        if args.json {
            print_json(answer)?;
        } else {
            let to = if answer.to.is_empty() { String::new() } else { format!(" to {}", answer.to) };
            print(&format!("{}{to}: {}\n", answer.channel, words(&answer.outcome)))?;
        }
    }
    Ok(if failed { Exit::No } else { Exit::Ok })
}

async fn test(name: &str, channel: &Channel, words: &Words) -> Vec<Answer> {
    let clock = Clock::real();
    let now = clock.wall();
    let thread = ThreadId::new(&format!("test:{name}"), "", now);
    let mut numbers = Numbers::new();
    numbers.insert("channel".into(), name.into());
    numbers.insert("detail".into(), "a test: nothing happened".into());
    let event =
        Event::bare(Kind::ChannelRecovered, Reason::DeliveryRestored, &thread, 1, (now, now), numbers);
    let context = Context {
        zone: crate::daemon::start::chicago(),
        first_in_thread: None,
        attempted_at: now,
        late_after: std::time::Duration::from_secs(5),
        url: None,
        test: true,
        picture: false,
    };
    let message = words.render(name, &event, &context);
    let mut answers = Vec::new();
    for to in channel.targets() {
        let letter = Letter {
            event: &event,
            message: &message,
            target: &to,
            first_in_thread: None,
            thread_receipt: None,
            sent_at: clock.wall(),
            picture: None,
        };
        let outcome = channel.attempt(&letter).await;
        answers.push(Answer { channel: name.to_owned(), to, outcome });
    }
    answers
}
