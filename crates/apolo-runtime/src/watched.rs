//! In which namespaces a server acts: an argument of the webhook and of the controller.

use apolo_core::key::is_dns_label;
use clap::Args;

/// The namespaces in which a server acts.
#[derive(Args, Clone, Debug, Default)]
pub struct Watched {
    /// Namespaces in which alone grants, deliveries and catalogs act; all others, where none is given. An owner outside is refused
    /// as not there. The chart's value watchNamespaces has to name the same ones, so that hooks and policies act there.
    #[arg(
        long = "watch-namespaces",
        env = "APOLO_WATCH_NAMESPACES",
        value_delimiter = ',',
        value_parser = name,
        value_name = "NAMES"
    )]
    pub names: Vec<String>,
}

impl Watched {
    /// Whether it acts in a namespace.
    #[must_use]
    pub fn includes(&self, namespace: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == namespace)
    }
}

fn name(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("the name of a namespace is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        watched: Watched,
    }

    #[test]
    fn it_acts_everywhere_unless_it_is_told_where() {
        let parse = |arguments: &[&str]| Arguments::try_parse_from([&["server"], arguments].concat());
        let everywhere = parse(&[]).unwrap().watched;
        assert!(everywhere.includes("alice") && everywhere.includes("bob"));
        let some = parse(&["--watch-namespaces=alice,carol"]).unwrap().watched;
        assert!(some.includes("alice") && some.includes("carol") && !some.includes("bob") && !some.includes("ali"));
        for wrong in ["--watch-namespaces=", "--watch-namespaces=alice,", "--watch-namespaces=team-*"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
