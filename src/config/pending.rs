//! Stand-ins for what is written at the same time in other branches; to be replaced when they land.

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
