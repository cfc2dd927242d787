//! The command lines that README and docs show to people.

use std::{fs, io, path::Path};

use crate::generated::root;

/// A command line of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The document.
    pub document: String,
    /// The line, without the comment behind it.
    pub line: String,
}

impl Said {
    /// The lines of README and docs, but for those made from others, that call one of these programs, in their order.
    ///
    /// # Errors
    /// When a document cannot be read.
    pub fn all(programs: &[&str]) -> io::Result<Vec<Self>> {
        let mut documents = vec![root().join("README.md")];
        for entry in fs::read_dir(root().join("docs"))? {
            documents.push(entry?.path());
        }
        documents.sort();
        let mut said = Vec::new();
        for document in documents.iter().filter(|path| path.extension().is_some_and(|it| it == "md")) {
            let name = document.strip_prefix(root()).unwrap_or(Path::new("")).display().to_string();
            let text = fs::read_to_string(document)?;
            said.extend(lines(&text, programs).map(|line| Self { document: name.clone(), line: line.to_owned() }));
        }
        Ok(said)
    }
}

/// The lines of a document that are shown as code and call one of these programs.
fn lines<'a>(text: &'a str, programs: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let mut is_fenced = false;
    text.lines().filter_map(move |line| {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
            return None;
        }
        let code = if is_fenced { line } else { line.strip_prefix("    ")? };
        let code = code.split(" # ").next().unwrap_or(code).trim();
        let calls = |part: &str| part.split_whitespace().next().is_some_and(|word| programs.contains(&word));
        code.split(" | ").any(calls).then_some(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_as_code_and_calls_a_program_is_a_command_line() {
        let text = "apolo is a word\n\n    apolo secret ls   # lists\n\n```\nhelm template x | apolo inject -f - | kubectl apply -f -\n$ other\n```\n    not apolo\n";
        let found: Vec<&str> = lines(text, &["apolo"]).collect();
        assert_eq!(found, ["apolo secret ls", "helm template x | apolo inject -f - | kubectl apply -f -"]);
    }
}
