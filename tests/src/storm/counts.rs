//! What a storm counts.

use std::fmt;

/// How often what happened, as the API server tells it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Grants made.
    pub grants: usize,
    /// Grants deleted, narrowed, or expired.
    pub withdrawals: usize,
    /// Pods that were seen with their gate lifted and all their copies there.
    pub deliveries: usize,
    /// Pods that were refused as nobody shares with them.
    pub refusals: usize,
    /// Controllers killed.
    pub kills: usize,
    /// How often the Lease went to another.
    pub failovers: usize,
}

impl Counts {
    fn named(&self) -> [(&'static str, usize); 6] {
        [
            ("grants", self.grants),
            ("withdrawals", self.withdrawals),
            ("deliveries", self.deliveries),
            ("refusals", self.refusals),
            ("kills", self.kills),
            ("failovers", self.failovers),
        ]
    }

    /// What there was less of than there had to be.
    pub fn short_of(&self, least: &Self) -> Vec<String> {
        let both = self.named().into_iter().zip(least.named());
        let short = both.filter(|((_, count), (_, least))| count < least);
        short.map(|((name, count), (_, least))| format!("{count} {name} instead of {least}")).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.named().map(|(name, count)| format!("{count} {name}"));
        formatter.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_few_is_named() {
        let least = Counts { grants: 2, kills: 1, ..Counts::default() };
        let counts = Counts { grants: 2, ..Counts::default() };
        assert_eq!(counts.short_of(&least), ["0 kills instead of 1"]);
        assert!(Counts { kills: 1, ..counts }.short_of(&least).is_empty());
    }
}
