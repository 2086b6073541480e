//! Content codings (RFC 9110, sections 8.4.1 and 12.5.3): their names, and which one a client wants.
//! Called by the daemon where an answer is compressed, or came compressed from a server.
//! Must hold: a coding that the client did not allow is never chosen.

#[cfg(test)]
mod tests;

/// A way in which a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952
    Gzip,
    /// RFC 1950, and what some servers send in its name: RFC 1951
    Deflate,
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of a name in any case; `x-gzip` is gzip.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let known = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];
        let named = known.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()));
        named.or_else(|| name.eq_ignore_ascii_case(b"x-gzip").then_some(Self::Gzip))
    }
}

/// What `Content-Encoding` says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded {
    /// It is as it is.
    Plain,
    /// It is compressed in one way that is known.
    Once(Coding),
    /// It is compressed in several ways, or in one that is not known.
    Otherwise,
}

/// Reads the value of `Content-Encoding`; `None` where the header is absent.
#[must_use]
pub fn encoded(value: Option<&[u8]>) -> Encoded {
    let names = value.unwrap_or_default().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut codings = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Encoded::Plain,
        (Some(name), None) => Coding::parse(name).map_or(Encoded::Otherwise, Encoded::Once),
        (Some(_), Some(_)) => Encoded::Otherwise,
    }
}

/// A weight in thousandths.
type Weight = u16;

/// What a client says of codings in the lines of `Accept-Encoding`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    named: Vec<(Named, Weight)>,
    any: Option<Weight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Coding(Coding),
    Identity,
}

impl Accepted {
    /// Reads the header's lines. An element that cannot be read allows nothing.
    pub fn new<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Self {
        let mut accepted = Self::default();
        for element in lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')) {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let Some(weight) = parts.find_map(weight_of).unwrap_or(Some(1000)) else { continue };
            if name == b"*" {
                accepted.any = Some(weight);
            } else if name.eq_ignore_ascii_case(b"identity") {
                accepted.named.push((Named::Identity, weight));
            } else if let Some(coding) = Coding::parse(name) {
                accepted.named.push((Named::Coding(coding), weight));
            }
        }
        accepted
    }

    /// Whether the client takes a body in this coding.
    #[must_use]
    pub fn allows(&self, coding: Coding) -> bool {
        self.weight(coding) > 0
    }

    /// The coding that the client wants most among those `offered`, the first of equals; `None` where it wants none,
    /// or the plain body more.
    #[must_use]
    pub fn best(&self, offered: &[Coding]) -> Option<Coding> {
        let plain = self.of(Named::Identity).unwrap_or(0);
        let mut best = None;
        for coding in offered {
            let weight = self.weight(*coding);
            if weight > 0 && weight >= plain && best.is_none_or(|(_, other)| weight > other) {
                best = Some((*coding, weight));
            }
        }
        best.map(|(coding, _)| coding)
    }

    fn weight(&self, coding: Coding) -> Weight {
        self.of(Named::Coding(coding)).or(self.any).unwrap_or(0)
    }

    fn of(&self, wanted: Named) -> Option<Weight> {
        self.named.iter().find(|(named, _)| *named == wanted).map(|(_, weight)| *weight)
    }
}

/// The weight of a `q` parameter; `Some(None)` where it is none.
#[expect(clippy::option_option, reason = "absent, malformed and valid are three things")]
fn weight_of(parameter: &[u8]) -> Option<Option<Weight>> {
    let (name, value) = parameter.split_at_checked(2)?;
    name.eq_ignore_ascii_case(b"q=").then(|| weight(value))
}

/// RFC 9110, section 12.4.2: `0` or `1` with at most three digits behind a dot.
fn weight(value: &[u8]) -> Option<Weight> {
    let (whole, rest) = value.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let places = digits.iter().chain(std::iter::repeat(&b'0')).take(3);
    let part = places.fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0'));
    match whole {
        b'0' => Some(part),
        b'1' if part == 0 => Some(1000),
        _ => None,
    }
}
