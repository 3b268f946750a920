//! Who a client certificate's subject is: Kafka's `ssl.principal.mapping.rules` (KIP-371).
//!
//! Owns the text form of the rules, which is Kafka's, and what they make of a distinguished name. One place for the control
//! plane, which refuses what would not be understood, and the gateway, which goes by it. Patterns are Java's as far as they
//! can be matched in linear time: look-around and back references are refused, sizes are bounded. Pure.

use regex::{Captures, Regex, RegexBuilder};

/// Rules as text, in bytes.
pub const MAX_TEXT: usize = 4096;
/// Rules of a list.
pub const MAX_RULES: usize = 32;
/// What a pattern may take when it is compiled, bytes: what a person writes fits in a tenth.
const MAX_COMPILED: usize = 1 << 17;
/// Longest name that a principal has, in characters: longer ones can't be named in access rules.
pub const MAX_NAME: usize = 255;

/// Why rules can't be used: `place` is the number of the rule, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("the rules have {0} bytes; {MAX_TEXT} at most are accepted")]
    Long(usize),
    #[error("{0} rules are given; {MAX_RULES} at most are accepted")]
    Many(usize),
    #[error("rule {place} is neither DEFAULT nor RULE:pattern/replacement/ with L or U after it, or nothing")]
    Shape { place: usize },
    #[error("the pattern of rule {place} can't be used: {why}")]
    Pattern { place: usize, why: String },
    #[error("the replacement of rule {place} has a $ that no digit follows; write \\$ for the character itself")]
    Replacement { place: usize },
}

/// A list of rules: the first that fits decides.
#[derive(Debug, Clone)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    /// The whole name.
    Default,
    Replace {
        /// As written, for what is replaced.
        pattern: Regex,
        /// Fits whole names only, which a rule must.
        whole: Regex,
        replacement: Vec<Part>,
        case: Case,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Default for Rules {
    /// The whole name, as Kafka does unless told otherwise.
    fn default() -> Self {
        Self(vec![Rule::Default])
    }
}

impl Rules {
    /// Reads rules as Kafka's brokers are given them; nothing is `DEFAULT`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_TEXT {
            return Err(RuleError::Long(text.len()));
        }
        // Kafka passes over rules without a text.
        let next = |text: &'_ str| text.len() - text.trim_start_matches(|c: char| c == ',' || c.is_whitespace()).len();
        let mut rules = Vec::new();
        let mut rest = &text[next(text)..];
        while !rest.is_empty() {
            let place = rules.len() + 1;
            if place > MAX_RULES {
                return Err(RuleError::Many(place));
            }
            let (rule, after) = one(rest, place)?;
            rules.push(rule);
            let after = after.trim_start();
            if !after.is_empty() && !after.starts_with(',') {
                return Err(RuleError::Shape { place });
            }
            rest = &after[next(after)..];
        }
        Ok(if rules.is_empty() { Self::default() } else { Self(rules) })
    }

    /// The name of the principal whose certificate is for `subject` (RFC 2253), if a rule fits.
    pub fn name(&self, subject: &str) -> Option<String> {
        self.0.iter().find_map(|rule| rule.apply(subject))
    }
}

impl Rule {
    fn apply(&self, subject: &str) -> Option<String> {
        match self {
            Self::Default => Some(subject.to_owned()),
            Self::Replace { pattern, whole, replacement, case } => {
                if !whole.is_match(subject) {
                    return None;
                }
                let name = pattern.replace_all(subject, |found: &Captures<'_>| expand(replacement, found));
                Some(match case {
                    Case::Kept => name.into_owned(),
                    Case::Lower => name.to_lowercase(),
                    Case::Upper => name.to_uppercase(),
                })
            }
        }
    }
}

/// The rule that `text` begins with, and what comes after it.
fn one(text: &str, place: usize) -> Result<(Rule, &str), RuleError> {
    if let Some(rest) = text.strip_prefix("DEFAULT") {
        return Ok((Rule::Default, rest));
    }
    let parts = text.strip_prefix("RULE:").and_then(|rest| {
        let (pattern, rest) = until_slash(rest)?;
        let (replacement, rest) = until_slash(rest)?;
        Some((pattern, replacement, rest))
    });
    let Some((pattern, replacement, rest)) = parts else { return Err(RuleError::Shape { place }) };
    let (case, rest) = match rest.chars().next() {
        Some('L') => (Case::Lower, &rest[1..]),
        Some('U') => (Case::Upper, &rest[1..]),
        _ => (Case::Kept, rest),
    };
    let compiled = |pattern: &str| {
        let built = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
        built.map_err(|error| RuleError::Pattern { place, why: error.to_string() })
    };
    let (pattern, whole) = (compiled(pattern)?, compiled(&format!("^(?:{pattern})$"))?);
    let replacement = parts_of(replacement, pattern.captures_len()).ok_or(RuleError::Replacement { place })?;
    Ok((Rule::Replace { pattern, whole, replacement, case }, rest))
}

/// What stands before the next `/` that no `\` is before, and what comes after it.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '/' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A replacement of a pattern with so many groups, the whole among them. As in Java, `$12` is group 12 if there are so many,
/// else group 1 and a 2; as in Kafka, a number that no group has stands for itself.
fn parts_of(text: &str, groups: usize) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next()?),
            '$' => {
                let mut group = digit(characters.next()?)?;
                if group >= groups {
                    plain.push('$');
                    plain.push_str(&group.to_string());
                    continue;
                }
                while let Some(longer) = characters.peek().and_then(|next| digit(*next)).map(|next| group * 10 + next) {
                    if longer >= groups {
                        break;
                    }
                    group = longer;
                    characters.next();
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(group));
            }
            other => plain.push(other),
        }
    }
    parts.push(Part::Text(plain));
    Some(parts)
}

fn digit(character: char) -> Option<usize> {
    character.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
}

fn expand(replacement: &[Part], found: &Captures<'_>) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Group(group) => found.get(*group).map_or_else(String::new, |group| group.as_str().to_owned()),
    };
    replacement.iter().map(text).collect()
}

/// Whether somebody can be called so in Kafka. It trims what a token says, so that a name with spaces around it would become
/// another one; `*` means everybody, and `ANONYMOUS` who did not log in.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= MAX_NAME
        && !name.chars().any(char::is_control)
        && name.trim() == name
        && !["*", "ANONYMOUS"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rules: &str, subjects: &[&str]) -> Vec<Option<String>> {
        let rules = Rules::parse(rules).unwrap();
        subjects.iter().map(|subject| rules.name(subject)).collect()
    }

    /// As in Kafka's own tests of `SslPrincipalMapper`.
    #[test]
    fn kafkas_own_examples_give_the_same_names() {
        let rules = "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L, RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, \
                     RULE:^cn=(.*?),ou=(.*?),dc=(.*?),dc=(.*?)$/$1@$2/U, RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U, DEFAULT";
        let subjects = [
            "CN=Duke,OU=ServiceUsers,O=Org,C=US",
            "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US",
            "cn=duke,ou=sme,dc=mycp,dc=com",
            "cN=duke,OU=JavaSoft,O=Sun Microsystems",
            "OU=JavaSoft,O=Sun Microsystems,C=US",
        ];
        let expected = ["duke", "duke@sme", "DUKE@SME", "DUKE", "OU=JavaSoft,O=Sun Microsystems,C=US"];
        assert_eq!(names(rules, &subjects), expected.map(|name| Some(name.to_owned())));
        let comma = "RULE:^CN=((\\\\, *|\\w)+)(,.*|$)/$1/,DEFAULT";
        let adam = "CN=Tkac\\, Adam,OU=ITZ,DC=geodis,DC=cz";
        assert_eq!(names(comma, &[adam]), [Some("Tkac\\, Adam".to_owned())]);
    }

    /// Texts that Kafka's own tests take apart, and the number of rules in them.
    #[test]
    fn lists_are_taken_apart_as_kafka_does() {
        for (text, count) in [
            ("RULE://", 1),
            ("RULE:/.*/L", 1),
            ("  RULE:// ,  DEFAULT  ", 2),
            ("  RULE:   /     / ,  DEFAULT  ", 2),
            ("  RULE:([A-Z]*)/$1/U   ,RULE:([a-z]+)/$1/,   DEFAULT  ", 3),
            (",,RULE://,,,DEFAULT,,", 2),
            (",  , RULE: /   /    ,,,   DEFAULT, ,   ", 2),
            ("RULE:\\/\\\\\\(\\)\\n\\t/\\/\\//", 1),
            ("RULE:\\**\\/+/*/L,RULE:\\/*\\**/**/", 2),
            ("RULE:^CN=([^,ADEFLTU,]+)(,.*|$)/$1/", 1),
            ("RULE:,RULE:,/,RULE:,\\//U,RULE:,/RULE:,/,RULE:,RULE:,/L,RULE:,/L,RULE:, DEFAULT, /DEFAULT/,DEFAULT", 5),
        ] {
            assert_eq!(Rules::parse(text).unwrap().0.len(), count, "{text}");
        }
    }

    #[test]
    fn without_rules_the_whole_name_is_taken_and_without_a_rule_that_fits_none() {
        assert_eq!(names("", &["CN=a,OU=b"]), [Some("CN=a,OU=b".to_owned())]);
        assert_eq!(names("DEFAULT", &["CN=a"]), [Some("CN=a".to_owned())]);
        assert_eq!(names("RULE:^CN=(.*)$/$1/", &["OU=b,CN=a", "CN=a"]), [None, Some("a".to_owned())]);
        assert_eq!(names("RULE:CN=a/x/", &["CN=ab"]), [None], "a rule fits a whole name");
    }

    #[test]
    fn slashes_dollars_and_groups_mean_what_they_mean_in_kafka() {
        assert_eq!(names("RULE:^CN=svc\\/(.*)$/host\\/$1/", &["CN=svc/a"]), [Some("host/a".to_owned())]);
        assert_eq!(names("RULE:^CN=(.)(.)$/$2$1\\$0$9/U", &["CN=ab"]), [Some("BA$0$9".to_owned())]);
        assert_eq!(names("RULE:^CN=(.)$/$12/", &["CN=a"]), [Some("a2".to_owned())]);
        assert_eq!(names("RULE:^(CN=.)$/$0!/", &["CN=a"]), [Some("CN=a!".to_owned())]);
        assert_eq!(names("RULE:^CN=(a)?(.*)$/$1-$2/", &["CN=b"]), [Some("-b".to_owned())]);
    }

    #[test]
    fn rules_that_are_none_are_refused_each_with_its_place() {
        for (text, place) in [
            ("default", 1),
            ("DEFAULT/L", 1),
            ("rule:^CN=(.*?)$/$1/", 1),
            ("RULE:^CN=(.*?)$/$1/L/U", 1),
            ("RULE:^CN=(.*?)$/LU", 1),
            ("RULE", 1),
            ("RULE:CN=a", 1),
            ("RULE:CN=a/b", 1),
            ("RULE:CN=a\\/b/", 1),
            ("DEFAULT RULE:a/b/", 1),
            ("DEFAULT, RULE:a/b/LU", 2),
            ("DEFAULT,x", 2),
        ] {
            assert_eq!(Rules::parse(text).unwrap_err(), RuleError::Shape { place }, "{text}");
        }
        for text in ["RULE:(/x/", "RULE:(?=a)/x/", "RULE:(a)\\1/x/", "RULE:(a{1000}){1000}/x/"] {
            assert!(matches!(Rules::parse(text), Err(RuleError::Pattern { place: 1, .. })), "{text}");
        }
        for text in ["RULE:a/$/", "RULE:a/${b}/", "RULE:a/b\\\\$x/"] {
            assert_eq!(Rules::parse(text).unwrap_err(), RuleError::Replacement { place: 1 }, "{text}");
        }
        assert_eq!(Rules::parse(&"x".repeat(MAX_TEXT + 1)).unwrap_err(), RuleError::Long(MAX_TEXT + 1));
        assert_eq!(Rules::parse(&"DEFAULT,".repeat(33)).unwrap_err(), RuleError::Many(33));
    }

    #[test]
    fn only_what_kafka_takes_for_one_user_is_a_name() {
        for name in ["a", "CN=a,OU=b", "CN=Zoë\\, Ltd", "sluice"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", " ", " a", "a ", "a\tb", "a\n", "*", "ANONYMOUS", &"a".repeat(256)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
