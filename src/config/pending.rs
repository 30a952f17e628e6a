//! Stand-ins for modules that are written at the same time in other branches; to be replaced when they land.

#![allow(missing_docs, unreachable_pub, clippy::missing_errors_doc)]

use crate::feed::json::spec::{Part, Pointer, Segment, Template};

impl Template {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("{text:?} has an open ${{"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }
}

impl Pointer {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { segments: Vec::new() });
        }
        let rest =
            text.strip_prefix('/').ok_or_else(|| format!("{text:?} is not a JSON pointer like \"/p\""))?;
        let segment = |s: &str| if s == "*" { Segment::Each } else { Segment::Key(s.to_owned()) };
        Ok(Self { segments: rest.split('/').map(segment).collect() })
    }
}

pub mod route {
    use std::str::FromStr;

    use crate::event::{Kind, Severity};

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Route {
        pub kinds: Option<Vec<Kind>>,
        pub severity: Option<SeverityMatch>,
        pub instruments: Option<Vec<String>>,
        pub levels: Option<Vec<String>>,
        pub tags: Option<Vec<String>>,
        pub to: Vec<String>,
        pub go_on: bool,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SeverityMatch(Severity, bool);

    impl FromStr for SeverityMatch {
        type Err = String;
        fn from_str(text: &str) -> Result<Self, String> {
            match text.strip_prefix("at least ") {
                Some(rest) => rest.parse().map(|s| Self(s, true)),
                None => text.parse().map(|s| Self(s, false)),
            }
        }
    }
}

pub mod retry {
    use std::time::Duration;

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Schedule {
        pub delays: Vec<Duration>,
        pub give_up_after: Duration,
    }

    impl Default for Schedule {
        fn default() -> Self {
            let secs = [0, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600];
            Self {
                delays: secs.map(Duration::from_secs).to_vec(),
                give_up_after: Duration::from_secs(86_400),
            }
        }
    }
}
