//! Names of products and contracts, and every vendor's way to spell them.
//!
//! One type converts between all spellings. It knows nothing of tick sizes, sessions or expiries.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most characters that a root has.
const ROOT_LEN_MAX: usize = 8;
/// The codes of the months from January to December.
const MONTH_CODES: &str = "FGHJKMNQUVXZ";
/// ProjectX knows some products by the names of CQG.
const PROJECTX_ALIASES: [(&str, &str); 2] = [("ES", "EP"), ("NQ", "ENQ")];
/// What stands before the root in ProjectX's contract ids.
const PROJECTX_PREFIX: &str = "CON.F.US.";
/// A one-digit year means a year from so many before the near year
const BEFORE_ONE_DIGIT: i16 = 3;
/// and a two-digit year from so many before it.
const BEFORE_TWO_DIGITS: i16 = 50;

/// Why a text is not a symbol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SymbolError {
    /// Not a product root.
    #[error("{0:?} is not a product root like RTY: 1 to 8 characters of A-Z and 0-9")]
    Root(String),
    /// Not a contract month.
    #[error(
        "{0:?} is not a contract month like Z26 or Z6: a code of {MONTH_CODES} and one or two digits of the year"
    )]
    Month(String),
    /// Not a symbol.
    #[error("{0:?} is not a contract like RTYZ6, /RTYZ26:XCME, /RTYZ26 or CON.F.US.RTY.Z26")]
    Symbol(String),
}

/// The root of a product's symbols: 1 to 8 characters of A-Z and 0-9 (`RTY`, `M2K`, `6E`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root([u8; ROOT_LEN_MAX]);

impl Root {
    /// A root.
    ///
    /// # Errors
    /// When the text is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let mut bytes = [0; ROOT_LEN_MAX];
        match bytes.get_mut(..text.len()) {
            Some(place) if !text.is_empty() && text.bytes().all(allowed) => {
                place.copy_from_slice(text.as_bytes())
            }
            Some(_) | None => return Err(SymbolError::Root(clip(text))),
        }
        Ok(Self(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        text.trim_end_matches('\0')
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

impl Serialize for Root {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A contract month. Displayed as code and two-digit year: `Z26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContractMonth {
    /// The full year.
    pub year: i16,
    /// 1 to 12.
    pub month: u8,
}

impl ContractMonth {
    /// The month's code, `F` to `Z`; `?` when [`ContractMonth::month`] is not 1 to 12.
    #[must_use]
    pub fn code(self) -> char {
        let place = usize::from(self.month).checked_sub(1);
        place.and_then(|n| MONTH_CODES.chars().nth(n)).unwrap_or('?')
    }

    /// The month with this code (`Z` is December); `None` when there is no such code.
    #[must_use]
    pub fn from_code(code: char, year: i16) -> Option<Self> {
        let place = MONTH_CODES.chars().position(|c| c == code)?;
        Some(Self { year, month: u8::try_from(place).ok()?.saturating_add(1) })
    }

    /// Reads `Z26` or `Z6`; what the year's digits leave open is decided by `near_year`, as in
    /// [`Symbol::parse`].
    ///
    /// # Errors
    /// When the text is no month code with one or two digits.
    pub fn parse(text: &str, near_year: i16) -> Result<Self, SymbolError> {
        let error = || SymbolError::Month(clip(text));
        let code = text.chars().next().ok_or_else(error)?;
        let year =
            text.get(code.len_utf8()..).and_then(|digits| year_near(digits, near_year)).ok_or_else(error)?;
        Self::from_code(code, year).ok_or_else(error)
    }
}

impl fmt::Display for ContractMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.code(), self.year.rem_euclid(100))
    }
}

/// One or two digits to the year that ends with them: in `near - 3 ..= near + 6`, or `near - 50 ..= near + 49`.
fn year_near(digits: &str, near: i16) -> Option<i16> {
    let (modulus, before) = match digits.len() {
        1 => (10, BEFORE_ONE_DIGIT),
        2 => (100, BEFORE_TWO_DIGITS),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ending: i16 = digits.parse().ok()?;
    let first = near.checked_sub(before)?;
    first.checked_add(ending.checked_sub(first)?.rem_euclid(modulus))
}

/// A way to spell a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `RTYZ6`: CME Globex, and with it Massive, Tradovate, Databento.
    Globex,
    /// `/RTYZ26:XCME`: dxLink's streamer symbols.
    Dxlink,
    /// `/RTYZ26`: Schwab.
    Schwab,
    /// `CON.F.US.RTY.Z26`: ProjectX's contract ids, with CQG's names for some roots (ES is `EP`, NQ `ENQ`).
    ProjectX,
}

/// One contract: a product and its month. Displayed as Globex spells it: `RTYZ6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Symbol {
    /// The product.
    pub root: Root,
    /// The month.
    pub month: ContractMonth,
}

impl Symbol {
    /// The contract as a vendor spells it; `mic` is the exchange's ISO 10383 code (`XCME`), which dxLink
    /// appends.
    #[must_use]
    pub fn spell(&self, spelling: Spelling, mic: &str) -> String {
        let Self { root, month } = self;
        match spelling {
            Spelling::Globex => format!("{root}{}{}", month.code(), month.year.rem_euclid(10)),
            Spelling::Dxlink => format!("/{root}{month}:{mic}"),
            Spelling::Schwab => format!("/{root}{month}"),
            Spelling::ProjectX => format!("{PROJECTX_PREFIX}{}.{month}", projectx_code(root.as_str())),
        }
    }

    /// Reads any of the spellings, and also `RTYZ26` (TradeStation) and `/RTYZ6` (tastytrade's REST).
    ///
    /// A one-digit year means the year in `near_year - 3 ..= near_year + 6` that ends with it, a two-digit
    /// one the year in `near_year - 50 ..= near_year + 49`.
    ///
    /// # Errors
    /// When the text is none of them; the message shows what is expected.
    pub fn parse(text: &str, near_year: i16) -> Result<Self, SymbolError> {
        let error = || SymbolError::Symbol(clip(text));
        if let Some(rest) = text.strip_prefix(PROJECTX_PREFIX) {
            let (code, month) = rest.split_once('.').ok_or_else(error)?;
            let root = Root::new(root_of_projectx(code))?;
            return Ok(Self { root, month: ContractMonth::parse(month, near_year)? });
        }
        let rest = match text.strip_prefix('/') {
            Some(rest) => rest.split_once(':').map_or(Some(rest), |(rest, mic)| is_mic(mic).then_some(rest)),
            None => Some(text),
        };
        let rest = rest.ok_or_else(error)?;
        let code_at = rest.trim_end_matches(|c: char| c.is_ascii_digit()).char_indices().next_back();
        let (root, month) = code_at.and_then(|(at, _)| rest.split_at_checked(at)).ok_or_else(error)?;
        let month = ContractMonth::parse(month, near_year).map_err(|_| error())?;
        Ok(Self { root: Root::new(root).map_err(|_| error())?, month })
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.spell(Spelling::Globex, ""))
    }
}

fn projectx_code(root: &str) -> &str {
    PROJECTX_ALIASES.iter().find(|(ours, _)| *ours == root).map_or(root, |(_, theirs)| theirs)
}

fn root_of_projectx(code: &str) -> &str {
    PROJECTX_ALIASES.iter().find(|(_, theirs)| *theirs == code).map_or(code, |(ours, _)| ours)
}

/// Whether the text has the form of a market identifier code (ISO 10383).
fn is_mic(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Keeps error messages short, whatever a peer sends.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPELLINGS: [Spelling; 4] =
        [Spelling::Globex, Spelling::Dxlink, Spelling::Schwab, Spelling::ProjectX];

    fn symbol(root: &str, code: char, year: i16) -> Symbol {
        Symbol { root: Root::new(root).unwrap(), month: ContractMonth::from_code(code, year).unwrap() }
    }

    #[test]
    fn a_contract_is_spelled_as_each_vendor_does() {
        let z6 = symbol("RTY", 'Z', 2026);
        let texts = SPELLINGS.map(|s| z6.spell(s, "XCME"));
        assert_eq!(texts, ["RTYZ6", "/RTYZ26:XCME", "/RTYZ26", "CON.F.US.RTY.Z26"]);
        assert_eq!(z6.to_string(), "RTYZ6");
        assert_eq!(z6.month.to_string(), "Z26");
        assert_eq!(symbol("ES", 'H', 2027).spell(Spelling::ProjectX, "XCME"), "CON.F.US.EP.H27");
        assert_eq!(symbol("NQ", 'H', 2027).spell(Spelling::ProjectX, "XCME"), "CON.F.US.ENQ.H27");
    }

    #[test]
    fn every_spelling_is_read() {
        let z6 = symbol("RTY", 'Z', 2026);
        for text in ["RTYZ6", "RTYZ26", "/RTYZ26:XCME", "/RTYZ26", "/RTYZ6", "CON.F.US.RTY.Z26"] {
            assert_eq!(Symbol::parse(text, 2026), Ok(z6), "{text}");
        }
        assert_eq!(Symbol::parse("CON.F.US.EP.H27", 2026), Ok(symbol("ES", 'H', 2027)));
        assert_eq!(Symbol::parse("CON.F.US.ENQ.H27", 2026), Ok(symbol("NQ", 'H', 2027)));
        assert_eq!(Symbol::parse("/M2KZ26:XCME", 2026), Ok(symbol("M2K", 'Z', 2026)));
        assert_eq!(Symbol::parse("6EZ6", 2026), Ok(symbol("6E", 'Z', 2026)));
    }

    #[test]
    fn a_one_digit_year_lies_from_three_years_before_to_six_after() {
        for (text, year) in [("RTYZ3", 2023), ("RTYZ6", 2026), ("RTYZ9", 2029), ("RTYZ2", 2032)] {
            assert_eq!(Symbol::parse(text, 2026).unwrap().month.year, year, "{text}");
        }
        assert_eq!(Symbol::parse("RTYZ4", 2024).unwrap().month.year, 2024);
        assert_eq!(Symbol::parse("RTYH0", 2029).unwrap().month.year, 2030);
    }

    #[test]
    fn what_is_no_contract_is_named() {
        for text in [
            "",
            "RTY",
            "Z6",
            "RTYA6",
            "RTYZ",
            "RTYZ2026",
            "RTYZ126",
            "rtyz6",
            "/RTYZ26:",
            "/RTYZ26:X",
            "RTYZ26:XCME",
            "CON.F.US.RTY",
            "CON.F.US.RTY.Z",
            "CON.F.US..Z26",
            "RTY Z6",
            "ÄZ6",
            "RTYÄ6",
            "TOOLONGROOTZ6",
            "//RTYZ6",
        ] {
            assert!(Symbol::parse(text, 2026).is_err(), "{text:?}");
        }
        assert_eq!(
            Symbol::parse("RTY", 2026).unwrap_err().to_string(),
            "\"RTY\" is not a contract like RTYZ6, /RTYZ26:XCME, /RTYZ26 or CON.F.US.RTY.Z26"
        );
        assert!(Root::new("").is_err() && Root::new("RT Y").is_err() && Root::new("ABCDEFGHI").is_err());
        assert_eq!(ContractMonth { year: 2026, month: 13 }.code(), '?');
        assert_eq!(ContractMonth { year: 2026, month: 0 }.code(), '?');
    }

    #[test]
    fn roots_order_and_serialise_as_their_text() {
        let roots = ["ES", "M2K", "MES", "RTY"].map(|r| Root::new(r).unwrap());
        assert!(roots.is_sorted());
        assert_eq!(serde_json::to_string(&roots[3]).unwrap(), "\"RTY\"");
        assert_eq!(serde_json::from_str::<Root>("\"RTY\"").unwrap(), roots[3]);
        assert!(serde_json::from_str::<Root>("\"rty\"").is_err());
    }

    proptest! {
        #[test]
        fn every_spelling_survives_a_round_trip(root in "[A-Z0-9]{1,8}", month in 1u8..=12, near in 1990i16..2200, ahead in -3i16..=6) {
            prop_assume!(!PROJECTX_ALIASES.iter().any(|(_, theirs)| *theirs == root));
            let month = ContractMonth { year: near + ahead, month };
            let symbol = Symbol { root: Root::new(&root).unwrap(), month };
            for spelling in SPELLINGS {
                prop_assert_eq!(Symbol::parse(&symbol.spell(spelling, "XCME"), near), Ok(symbol), "{:?}", spelling);
            }
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,30}", near in any::<i16>()) {
            drop(Symbol::parse(&text, near));
            drop(Symbol::parse(&format!("/{text}Z6"), near));
            drop(ContractMonth::parse(&text, near));
        }
    }
}
