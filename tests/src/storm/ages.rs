//! How old each fault is that looks at the API server show, and which are older than they may be. Pure: the time comes in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use crate::oracle::{bindings, deliveries};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// With what is delivered.
    Delivery(deliveries::Fault),
    /// With access.
    Binding(bindings::Fault),
}

/// How old a fault may become, by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something is there that nobody has a right to.
    TooMuch,
    /// Something is not there, or does not go on, that somebody has a right to.
    TooLittle,
}

impl Kind {
    /// With a leader.
    const fn led(self) -> Duration {
        match self {
            Self::TooMuch => Duration::from_secs(5),
            Self::TooLittle => Duration::from_secs(10),
        }
    }

    /// From the moment at which a leader was killed.
    const fn after_a_kill(self) -> Duration {
        match self {
            Self::TooMuch => Duration::from_secs(20),
            Self::TooLittle => Duration::from_secs(25),
        }
    }
}

impl Wrong {
    /// How old it may become.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Delivery(deliveries::Fault::Unjustified(..)) | Self::Binding(bindings::Fault::Stray(..)) => {
                Kind::TooMuch
            }
            _ => Kind::TooLittle,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery(fault) => fault.fmt(formatter),
            Self::Binding(fault) => fault.fmt(formatter),
        }
    }
}

/// The times in which nobody led: from the kill of a leader until the Lease told of another.
#[derive(Debug, Default)]
pub struct Interregnums(Vec<(Instant, Option<Instant>)>);

impl Interregnums {
    /// The leader has been killed, or stopped.
    pub fn begin(&mut self, now: Instant) {
        self.0.push((now, None));
    }

    /// Another has the Lease.
    pub fn end(&mut self, now: Instant) {
        if let Some((_, until @ None)) = self.0.last_mut() {
            *until = Some(now);
        }
    }

    /// By when a fault has to be mended that was first seen at this time, and the kill from which that counts, if one does.
    fn due(&self, first: Instant, kind: Kind) -> (Instant, Option<Instant>) {
        let mut due = (first + kind.led(), None);
        for (from, until) in &self.0 {
            if *from <= due.0 && until.is_none_or(|until| first <= until) {
                due = (due.0.max(*from + kind.after_a_kill()), Some(*from));
            }
        }
        due
    }
}

/// A fault that was not mended in time.
#[derive(Debug)]
pub struct Overdue {
    /// It.
    pub wrong: Wrong,
    /// How long it has been seen.
    pub age: Duration,
    /// How long ago the leader was killed, where its time counts from that.
    pub since_the_kill: Option<Duration>,
}

impl fmt::Display for Overdue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, for {:.1} s", self.wrong, self.age.as_secs_f32())?;
        match self.since_the_kill {
            Some(time) => write!(formatter, ", {:.1} s from the kill of a leader", time.as_secs_f32()),
            None => formatter.write_str(" with a leader"),
        }
    }
}

/// The faults that the last look showed, each with when it was first seen, and the worst of all that there were.
#[derive(Debug, Default)]
pub struct Ages {
    since: BTreeMap<Wrong, Instant>,
    worst: BTreeMap<Kind, Worst>,
}

/// The longest times until something was mended.
#[derive(Debug, Default, Clone, Copy)]
struct Worst {
    led: Duration,
    from_the_kill: Duration,
}

impl Ages {
    /// Takes what a look showed that began and ended at these times: an age counts from the end of the first of all looks in a row
    /// that show the same, to the beginning of the last. Tells what is older than it may be.
    pub fn look(
        &mut self,
        wrong: BTreeSet<Wrong>,
        (began, ended): (Instant, Instant),
        interregnums: &Interregnums,
    ) -> Vec<Overdue> {
        self.since.retain(|known, _| wrong.contains(known));
        let mut overdue = Vec::new();
        for wrong in wrong {
            let first = *self.since.entry(wrong.clone()).or_insert(ended);
            let (due, kill) = interregnums.due(first, wrong.kind());
            let age = began.saturating_duration_since(first);
            let since_the_kill = kill.map(|kill| began.saturating_duration_since(kill));
            if began > due {
                overdue.push(Overdue { wrong, age, since_the_kill });
            } else {
                let worst = self.worst.entry(wrong.kind()).or_default();
                match since_the_kill {
                    Some(time) => worst.from_the_kill = worst.from_the_kill.max(time),
                    None => worst.led = worst.led.max(age),
                }
            }
        }
        overdue
    }
}

impl fmt::Display for Ages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [(Kind::TooMuch, "too much"), (Kind::TooLittle, "too little")].map(|(kind, name)| {
            let Worst { led, from_the_kill } = self.worst.get(&kind).copied().unwrap_or_default();
            format!("{name} {:.1} s with a leader, {:.1} s from a kill", led.as_secs_f32(), from_the_kill.as_secs_f32())
        });
        write!(formatter, "longest seen: {}", told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn copy() -> Wrong {
        Wrong::Delivery(deliveries::Fault::Unjustified(("bob".into(), "apolo-shared-1".into()), "7".into()))
    }

    /// Whether a copy is told of that is seen at each of these seconds.
    fn told(seconds: &[u32], start: Instant, interregnums: &Interregnums) -> bool {
        let mut ages = Ages::default();
        let mut looks =
            seconds.iter().map(|second| ages.look([copy()].into(), [start + SECOND * *second; 2].into(), interregnums));
        looks.any(|overdue| !overdue.is_empty())
    }

    #[test]
    fn with_a_leader_a_copy_is_told_of_when_it_is_older_than_five_seconds() {
        let start = Instant::now();
        let none = Interregnums::default();
        assert!(!told(&[0, 5], start, &none));
        assert!(told(&[0, 6], start, &none));
    }

    #[test]
    fn what_was_mended_in_between_is_new() {
        let (start, none) = (Instant::now(), Interregnums::default());
        let mut ages = Ages::default();
        for (second, wrong) in [(0, [copy()].into()), (4, BTreeSet::new()), (6, [copy()].into()), (10, [copy()].into())]
        {
            assert!(ages.look(wrong, [start + SECOND * second; 2].into(), &none).is_empty());
        }
    }

    #[test]
    fn without_a_leader_its_time_counts_from_the_kill_until_another_has_the_lease() {
        let start = Instant::now();
        let mut interregnums = Interregnums::default();
        interregnums.begin(start + SECOND);
        assert!(!told(&[0, 21], start, &interregnums));
        assert!(told(&[0, 22], start, &interregnums));
        interregnums.end(start + SECOND * 16);
        assert!(!told(&[15, 21], start, &interregnums));
        assert!(told(&[15, 22], start, &interregnums));
        assert!(told(&[17, 23], start, &interregnums));
    }
}
