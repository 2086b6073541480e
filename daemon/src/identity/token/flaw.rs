//! What is wrong with a token, in words for whoever shows it.

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is no signed token in compact form (RFC 7515, section 7.1).
    Malformed,
    /// Its header says that it is something else than an access token.
    Type,
    /// Its header has extensions that must be understood (RFC 7515, section 4.1.11).
    Critical,
    /// It is signed in a way that its issuer does not sign, or not at all.
    Algorithm,
    /// Nobody here trusts its issuer.
    Issuer,
    /// Its issuer has no such key.
    KeyUnknown,
    /// Its signature is not its issuer's.
    Signature,
    /// It does not say when it ends.
    Endless,
    /// It has ended.
    Expired,
    /// It does not hold yet.
    NotYet,
    /// It is for somebody else.
    Audience,
    /// It does not say whom it is about.
    Subject,
    /// Who shows it has to prove more than it (RFC 7800).
    Bound,
}

impl Flaw {
    /// All of them, in the order of [`Flaw::index`].
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Type,
        Self::Critical,
        Self::Algorithm,
        Self::Issuer,
        Self::KeyUnknown,
        Self::Signature,
        Self::Endless,
        Self::Expired,
        Self::NotYet,
        Self::Audience,
        Self::Subject,
        Self::Bound,
    ];

    /// Its place among all.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// One word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Type => "type",
            Self::Critical => "critical",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::KeyUnknown => "key-unknown",
            Self::Signature => "signature",
            Self::Endless => "endless",
            Self::Expired => "expired",
            Self::NotYet => "not-yet",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Bound => "bound",
        }
    }

    /// What the client reads: nothing of it is the client's own text.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => {
                "This credential is neither an API key nor a signed token. Send one of them as it was issued."
            }
            Self::Type => "This is no access token. Ask its issuer for an access token.",
            Self::Critical => {
                "This token has extensions that are not understood here. Ask its issuer for one without them."
            }
            Self::Algorithm => "This token is not signed in a way that is accepted here.",
            Self::Issuer => "The issuer of this token is not trusted here.",
            Self::KeyUnknown => "This token is signed with a key that its issuer does not publish. Get a new one.",
            Self::Signature => "The signature of this token is not that of its issuer. Get a new one.",
            Self::Endless => "This token does not say when it expires. Ask its issuer for one that does.",
            Self::Expired => "This token has expired. Get a new one from its issuer.",
            Self::NotYet => "This token is not valid yet. Try again later, or see that clocks agree.",
            Self::Audience => "This token is not meant for this server. Ask its issuer for one with this resource.",
            Self::Subject => "This token does not say whom it stands for in a form that is accepted here.",
            Self::Bound => {
                "This token is bound to a key of its client, which cannot be proved here. Get a bearer token."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_its_word_and_words_that_a_header_can_carry() {
        for (index, flaw) in Flaw::ALL.into_iter().enumerate() {
            assert_eq!(flaw.index(), index);
            // RFC 6750, section 3: the characters of `error_description`.
            let fits = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            assert!(flaw.sentence().bytes().all(fits), "{flaw:?}");
            assert_eq!(Flaw::ALL.iter().filter(|other| other.word() == flaw.word()).count(), 1);
        }
    }
}
