//! stub
use serde::{Deserialize, Serialize};
/// A contract month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContractMonth { /// full year
 pub year: i16, /// 1 to 12
 pub month: u8 }
