//! Makes text that others wrote harmless: one line, nothing that moves a cursor or turns the reading direction,
//! bounded. Escaping for HTML and Slack is done where those are written.

/// `text` on one line, without control, direction and invisible characters, at most `max` characters long.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let visible = text.chars().filter_map(|c| match c {
        c if c.is_whitespace() || matches!(c, '\0'..='\x1f') => Some(' '),
        c if c.is_control() || is_invisible(c) => None,
        c => Some(c),
    });
    // A hostile peer's text is not read further than what could be shown.
    let bounded: String = visible.take(max.saturating_mul(4)).collect();
    clip(&bounded.split_whitespace().collect::<Vec<_>>().join(" "), max)
}

/// `text`, cut with an ellipsis to at most `max` characters.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Marks that turn the direction, hide text, or are not seen at all (Unicode's bidirectional and tag
/// characters, zero-width spaces, the byte-order mark, object replacements).
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_start_a_header_or_turn_the_text_is_gone() {
        assert_eq!(line("x\r\nBcc: y", 80), "x Bcc: y");
        assert_eq!(line("a\0b\u{1b}[31mc", 80), "a b [31mc");
        assert_eq!(line("2\u{202e}005\u{2069}", 80), "2005");
        assert_eq!(line("a\u{2028}b\u{85}c\u{a0}d\te", 80), "a b c d e");
        assert_eq!(line("  Größe\u{feff} 2.500 € 📈 ", 80), "Größe 2.500 € 📈");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abcde…");
        assert_eq!(clip("abcd fg", 6), "abcd…");
        assert_eq!(clip("ab", 0), "…");
    }

    proptest! {
        #[test]
        fn every_line_is_one_line_within_its_limit(text in any::<String>(), max in 1usize..100) {
            let line = line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
