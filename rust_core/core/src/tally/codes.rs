//! The names of rules, as objects list them.

use std::cmp::Ordering;
use std::fmt;

/// What a packet or station is marked with: `H104`, `S214.3`. Codes ascend by their ASCII bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    /// `H` keeps a count out of the sums, `S` flags it.
    letter: char,
    /// Always three digits.
    rule: u16,
    /// The number of the definition's check, where the rule is one; 0 else.
    check: u64,
}

impl Code {
    pub(super) const VALUE: Self = Self::hard(100);
    pub(super) const FORM: Self = Self::hard(101);
    pub(super) const BALLOTS: Self = Self::hard(102);
    pub(super) const VOTES: Self = Self::hard(103);
    pub(super) const GIVEN_OUT: Self = Self::hard(104);
    pub(super) const DEVICE: Self = Self::hard(105);
    pub(super) const DEFINITION: Self = Self::hard(106);
    pub(super) const REVOKED: Self = Self::hard(107);
    pub(super) const PREFERENCES: Self = Self::hard(108);
    pub(super) const IDENTIFIED: Self = Self::soft(201);
    pub(super) const SPOILT: Self = Self::soft(202);
    pub(super) const TURNOUT: Self = Self::soft(203);
    pub(super) const TIMES: Self = Self::soft(204);
    pub(super) const CHAIN: Self = Self::soft(205);
    pub(super) const SOURCES: Self = Self::soft(206);
    pub(super) const MISSING_BALLOTS: Self = Self::soft(207);
    pub(super) const EQUIVOCATION: Self = Self::soft(208);
    pub(super) const OPENING: Self = Self::soft(209);
    pub(super) const COUNTER: Self = Self::soft(210);
    pub(super) const FIRMWARE: Self = Self::soft(211);
    pub(super) const NOT_THE_FIRST: Self = Self::soft(212);
    pub(super) const REGISTERED: Self = Self::soft(213);

    const fn hard(rule: u16) -> Self {
        Self { letter: 'H', rule, check: 0 }
    }

    const fn soft(rule: u16) -> Self {
        Self { letter: 'S', rule, check: 0 }
    }

    /// H109.n: a hard check of the definition, by its number.
    pub(super) const fn hard_check(check: u64) -> Self {
        Self { letter: 'H', rule: 109, check }
    }

    /// S214.n: a soft check of the definition, by its number.
    pub(super) const fn soft_check(check: u64) -> Self {
        Self { letter: 'S', rule: 214, check }
    }

    /// Whether a packet that has it does not belong to its station.
    pub(super) fn excludes(self) -> bool {
        matches!(self, Self::DEVICE | Self::DEFINITION | Self::REVOKED)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.letter, self.rule)?;
        if self.check == 0 { Ok(()) } else { write!(formatter, ".{}", self.check) }
    }
}

impl Ord for Code {
    fn cmp(&self, other: &Self) -> Ordering {
        let rules = (self.letter, self.rule).cmp(&(other.letter, other.rule));
        rules.then_with(|| {
            if self.check == other.check {
                Ordering::Equal
            } else {
                // As ASCII: 10 stands before 2.
                self.check.to_string().cmp(&other.check.to_string())
            }
        })
    }
}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_as_their_text_does() {
        let mut codes = vec![Code::VALUE, Code::REVOKED, Code::PREFERENCES, Code::IDENTIFIED, Code::REGISTERED];
        for check in [1, 2, 9, 10, 11, 19, 20, 100, (1 << 53) - 1] {
            codes.extend([Code::hard_check(check), Code::soft_check(check)]);
        }
        codes.sort();
        let texts: Vec<String> = codes.iter().map(Code::to_string).collect();
        assert!(texts.is_sorted());
        assert_eq!(texts[3..6], ["H109.1", "H109.10", "H109.100"]);
    }
}
