//! How well something does: three words, of which the worst counts.

/// How well something does, from the best to the worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should.
    #[default]
    Healthy,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Unhealthy,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// What a number means that should stay below two others.
    #[must_use]
    pub fn of(value: f64, warning: f64, unhealthy: f64) -> Self {
        match () {
            () if value >= unhealthy => Self::Unhealthy,
            () if value >= warning => Self::Warning,
            () => Self::Healthy,
        }
    }

    /// What all of it means together: it does not work where something critical does not; what else does not work is
    /// something to look at.
    #[must_use]
    pub fn together(checks: impl IntoIterator<Item = (Self, bool)>) -> Self {
        let weigh = |(status, critical): (Self, bool)| match status {
            Self::Unhealthy if !critical => Self::Warning,
            status => status,
        };
        checks.into_iter().map(weigh).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_critical_makes_the_whole_unhealthy() {
        let all = |checks: &[(Status, bool)]| Status::together(checks.iter().copied());
        assert_eq!(all(&[]), Status::Healthy);
        assert_eq!(all(&[(Status::Healthy, true), (Status::Warning, true)]), Status::Warning);
        assert_eq!(all(&[(Status::Unhealthy, false)]), Status::Warning);
        assert_eq!(all(&[(Status::Unhealthy, true), (Status::Healthy, false)]), Status::Unhealthy);
    }

    #[test]
    fn a_number_is_worse_from_its_thresholds_on() {
        let status = |value| Status::of(value, 0.8, 0.95);
        assert_eq!([0.79, 0.8, 0.95].map(status), [Status::Healthy, Status::Warning, Status::Unhealthy]);
    }
}
