//! The closed word lists of manifests and tables, each as an enum with its published words.

/// Declares an enum whose variants are words of the canonical tables.
macro_rules! words {
    ($($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$meaning])* $variant,)+
        }

        impl $name {
            /// The published word.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Words for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn word(self) -> &'static str {
                self.word()
            }
        }
    )+};
}

/// What a parser needs to know of such an enum.
pub(super) trait Words: Copy + 'static {
    /// Every variant, in the order of the format.
    const ALL: &'static [Self];

    /// The published word.
    fn word(self) -> &'static str;

    /// The variant that `word` names.
    fn find(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.word() == word)
    }
}

words! {
    /// Whether an election counts.
    Mode {
        /// The election itself.
        Live = "live",
        /// A rehearsal with keys of its own.
        Rehearsal = "rehearsal",
    }
    /// Which of the two sources the public sees first.
    Headline {
        /// The boxes' results.
        Machine = "machine",
        /// The commissions' protocols.
        Protocol = "protocol",
    }
    /// The languages that names come in.
    Language {
        /// Kyrgyz.
        Kyrgyz = "ky",
        /// Kazakh.
        Kazakh = "kk",
        /// Russian.
        Russian = "ru",
        /// English.
        English = "en",
    }
    /// How a rule that may be eased judges.
    Strictness {
        /// Keeps a count out of the sums.
        Hard = "hard",
        /// Flags it.
        Soft = "soft",
        /// Says nothing.
        Off = "off",
    }
    /// What is voted on.
    ContestKind {
        /// Candidates.
        Choose = "choose",
        /// Party lists.
        List = "list",
        /// A question.
        Referendum = "referendum",
    }
    /// How votes become seats or an outcome.
    Method {
        /// Most votes.
        Plurality = "plurality",
        /// More than half, else a run-off.
        Majority = "majority",
        /// Hare quota, largest remainder.
        Hare = "hare",
        /// D'Hondt divisors.
        Dhondt = "dhondt",
        /// Sainte-Laguë divisors.
        SainteLague = "sainte-lague",
    }
    /// The figure that a share, threshold or quorum is taken of.
    Base {
        /// Valid ballots.
        Valid = "valid",
        /// Votes, without preferences.
        Votes = "votes",
        /// All ballots found.
        InBox = "in_box",
        /// Registered voters.
        Registered = "registered",
    }
    /// What can be voted for.
    ChoiceKind {
        /// A person.
        Candidate = "candidate",
        /// A party list.
        List = "list",
        /// Yes to the question.
        Yes = "yes",
        /// No to the question.
        No = "no",
        /// Against everyone; never gets a seat.
        AgainstAll = "against_all",
    }
    /// What kind of polling station it is.
    StationKind {
        /// An ordinary one.
        Ordinary = "ordinary",
        /// In a hospital, a prison, a barracks.
        Special = "special",
        /// Abroad.
        Abroad = "abroad",
        /// A travelling one.
        Mobile = "mobile",
    }
    /// What signs packets.
    DeviceKind {
        /// A ballot box.
        Box = "box",
        /// An identification terminal.
        Terminal = "terminal",
        /// A commission's desk.
        Desk = "desk",
    }
    /// How a national check judges.
    Severity {
        /// Keeps a count out of the sums.
        Hard = "hard",
        /// Flags it.
        Soft = "soft",
    }
    /// What a photograph or document in `media/` is; all that a browser shows without running anything in it.
    MediaType {
        /// JPEG.
        Jpeg = "image/jpeg",
        /// PNG.
        Png = "image/png",
        /// `WebP`.
        Webp = "image/webp",
        /// PDF.
        Pdf = "application/pdf",
    }
    /// How the two sides of a national check compare.
    Operator {
        /// Equal, within the tolerance.
        Equal = "=",
        /// At most, within the tolerance.
        AtMost = "<=",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_variant_and_nothing_else_does() {
        for method in Method::ALL {
            assert_eq!(Method::find(method.word()), Some(*method));
        }
        assert_eq!(Operator::find("<="), Some(Operator::AtMost));
        assert_eq!(Method::find("Hare"), None);
        assert_eq!(Method::find(""), None);
    }
}
