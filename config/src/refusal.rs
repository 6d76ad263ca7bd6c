//! What every "no" of this crate has: a reason and a remedy.

/// Why a value is refused. Its `Display` names the reason in one line, with the value.
pub trait Refusal: std::error::Error {
    /// What to write instead.
    fn help(&self) -> String;
}
