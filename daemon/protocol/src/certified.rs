//! What a verified certificate says of its holder, and which of the operator's rules it fits.
//! Called by whoever identifies clients by certificate.
//! Must hold: a rule is compared with names of its own sort only, and with values, never with a whole name as text,
//! so that nothing a certificate says in one place counts in another.

use crate::names::Pattern;

/// Sorts of subject alternative names (RFC 5280, section 4.2.1.6) that identify somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A URI, such as a SPIFFE id.
    Uri,
    /// A DNS name, in lower case.
    Dns,
    /// A mailbox.
    Email,
    /// An IP address, as it is written canonically.
    Address,
}

impl Sort {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Dns => "dns",
            Self::Email => "email",
            Self::Address => "ip",
        }
    }

    /// The sort that a written pattern means: only a URI has a colon, only a mailbox an at sign.
    fn of(pattern: &str) -> Self {
        if pattern.parse::<std::net::IpAddr>().is_ok() {
            Self::Address
        } else if pattern.contains(':') {
            Self::Uri
        } else if pattern.contains('@') {
            Self::Email
        } else {
            Self::Dns
        }
    }
}

/// Attributes of a subject that a rule may name (RFC 4514, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `CN`
    CommonName,
    /// `O`
    Organisation,
    /// `OU`
    Unit,
    /// `C`
    Country,
    /// `L`
    Locality,
    /// `ST`
    State,
    /// `UID`
    UserId,
}

impl Attribute {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "CN" => Self::CommonName,
            "O" => Self::Organisation,
            "OU" => Self::Unit,
            "C" => Self::Country,
            "L" => Self::Locality,
            "ST" => Self::State,
            "UID" => Self::UserId,
            _ => return None,
        })
    }
}

/// What a certificate says of its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Subject alternative names, in their order.
    pub alternatives: Vec<(Sort, String)>,
    /// Attributes of the subject, in their order.
    pub subject: Vec<(Attribute, String)>,
}

impl Names {
    /// The name that tells its holder from others: the first alternative one, else the common name.
    #[must_use]
    pub fn first(&self) -> Option<(&'static str, &str)> {
        let alternative = self.alternatives.first().map(|(sort, name)| (sort.word(), name.as_str()));
        let common = || self.subject.iter().find(|(attribute, _)| *attribute == Attribute::CommonName);
        alternative.or_else(|| common().map(|(_, name)| ("cn", name.as_str())))
    }
}

/// Whose certificate a rule means: everything that is written has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    alternative: Option<(Sort, Pattern)>,
    subject: Vec<(Attribute, String)>,
}

impl Rule {
    /// A rule of a pattern over alternative names, and a subject as `CN=agent, O=Example`.
    ///
    /// # Errors
    /// What to write instead, where nothing is said or the subject is no list of attributes.
    pub fn new(alternative: Option<&str>, subject: Option<&str>) -> Result<Self, &'static str> {
        if alternative.is_none() && subject.is_none() {
            return Err("write `san`, such as \"spiffe://example.org/agent\", or `subject`, such as \"CN=agent\"");
        }
        let alternative = alternative.map(|text| {
            let sort = Sort::of(text);
            // RFC 4343: names of the DNS have no case.
            let text = if sort == Sort::Dns { text.to_ascii_lowercase() } else { text.to_owned() };
            (sort, Pattern::new(&text))
        });
        let subject = subject.map_or(Ok(Vec::new()), attributes)?;
        Ok(Self { alternative, subject })
    }

    /// Whether a certificate is meant.
    #[must_use]
    pub fn fits(&self, names: &Names) -> bool {
        let alternative = self.alternative.as_ref().is_none_or(|(wanted, pattern)| {
            names.alternatives.iter().any(|(sort, name)| sort == wanted && pattern.matches(name))
        });
        alternative && self.subject.iter().all(|wanted| names.subject.contains(wanted))
    }

    /// How much a rule says: of two that fit, the one that says more is meant.
    #[must_use]
    pub fn weight(&self) -> (bool, usize, usize) {
        let (exact, length) = match &self.alternative {
            Some((_, pattern)) => (pattern.is_literal(), pattern.as_str().len()),
            None => (false, 0),
        };
        (exact, self.subject.len(), length)
    }
}

/// `CN=agent, O=Example`; a comma in a value cannot be written.
fn attributes(text: &str) -> Result<Vec<(Attribute, String)>, &'static str> {
    let one = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let (attribute, value) = (Attribute::parse(name.trim())?, value.trim());
        (!value.is_empty()).then(|| (attribute, value.to_owned()))
    };
    let parsed: Option<Vec<_>> = text.split(',').map(one).collect();
    parsed.ok_or(
        "write attributes of the subject, such as \"CN=agent, O=Example\"; CN, O, OU, C, L, ST and UID are known",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(alternatives: &[(Sort, &str)], subject: &[(Attribute, &str)]) -> Names {
        Names {
            alternatives: alternatives.iter().map(|(sort, name)| (*sort, (*name).to_owned())).collect(),
            subject: subject.iter().map(|(attribute, value)| (*attribute, (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_rule_means_names_of_its_own_sort() {
        let certificate = names(
            &[
                (Sort::Uri, "spiffe://example.org/agent/7"),
                (Sort::Dns, "agent.example.org"),
                (Sort::Email, "a@example.org"),
            ],
            &[(Attribute::CommonName, "agent, O=Example"), (Attribute::Organisation, "Other")],
        );
        for (san, subject, fits) in [
            (Some("spiffe://example.org/agent/*"), None, true),
            (Some("spiffe://example.org/agent/8"), None, false),
            (Some("AGENT.example.org"), None, true),
            (Some("*.example.org"), None, true),
            (Some("a@example.org"), None, true),
            (Some("*"), None, true),
            (Some("10.0.0.1"), None, false),
            (None, Some("CN=agent"), false),
            (None, Some("O=Other"), true),
            (None, Some("O=Example"), false),
            (Some("*"), Some("o=Other"), true),
            (Some("*"), Some("OU=Other"), false),
        ] {
            assert_eq!(Rule::new(san, subject).unwrap().fits(&certificate), fits, "{san:?} {subject:?}");
        }
        // A mailbox that looks like a host is none.
        assert!(
            !Rule::new(Some("agent.example.org"), None)
                .unwrap()
                .fits(&names(&[(Sort::Email, "agent.example.org")], &[]))
        );
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        assert!(Rule::new(None, None).is_err());
        for subject in ["", "agent", "CN=", "CN=a,", "XX=a", "=a"] {
            assert!(Rule::new(None, Some(subject)).is_err(), "{subject}");
        }
    }

    #[test]
    fn the_rule_that_says_more_weighs_more() {
        let weight = |san, subject| Rule::new(san, subject).unwrap().weight();
        assert!(weight(Some("a.b"), None) > weight(Some("*.b"), Some("CN=a")));
        assert!(weight(Some("x*"), Some("CN=a")) > weight(Some("xyz*"), None));
        assert!(weight(Some("x.*"), None) > weight(Some("*"), None));
    }

    #[test]
    fn the_first_name_is_an_alternative_one() {
        let subject = [(Attribute::Organisation, "O"), (Attribute::CommonName, "agent")];
        assert_eq!(names(&[(Sort::Dns, "a.b"), (Sort::Uri, "x:y")], &subject).first(), Some(("dns", "a.b")));
        assert_eq!(names(&[], &subject).first(), Some(("cn", "agent")));
        assert_eq!(names(&[], &subject[..1]).first(), None);
    }

    proptest! {
        #[test]
        fn a_written_name_fits_itself_and_nothing_of_another_sort(name in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}") {
            let rule = Rule::new(Some(&name), None).unwrap();
            prop_assert!(rule.fits(&names(&[(Sort::Dns, &name)], &[])));
            for sort in [Sort::Uri, Sort::Email, Sort::Address] {
                prop_assert!(!rule.fits(&names(&[(sort, &name)], &[(Attribute::CommonName, &name)])));
            }
        }
    }
}
