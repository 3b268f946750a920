//! Kafka users: what they may be called, and passwords (product.md §5).

use crate::domain::names;
use control_plane_api::problem::FieldError;

/// Name of the first user when an order names none.
pub const DEFAULT_USER: &str = "admin";
/// Names that begin so belong to the platform.
pub const RESERVED_PREFIX: &str = "sluice";
/// Most users of an instance: every broker holds what it must refuse of them in memory, and is told of it whole.
pub const MAX_USERS: u64 = 500;
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=32;
/// Random bytes that a password is made of: 24 characters of 6 bits, 144 bits.
pub const PASSWORD_BYTES: usize = 24;

/// What everybody tries first. Compared without case and without what stands around them.
const WEAK: &[&str] = &[
    "password", "passw0rd", "p@ssw0rd", "p@ssword", "qwerty", "letmein", "welcome", "abc123", "123456", "admin123",
    "kafka123", "iloveyou",
];

pub fn check_user(pointer: &str, user: &str, faults: &mut Vec<FieldError>) {
    if !names::is_name(user) {
        faults.push(FieldError::new(
            pointer,
            "user-shape",
            "a Kafka user's name is 4 to 64 letters, digits, '-' and '_', beginning with a letter",
        ));
    }
    if user.to_ascii_lowercase().starts_with(RESERVED_PREFIX) {
        faults.push(FieldError::new(
            pointer,
            "user-reserved",
            format!("names that begin with {RESERVED_PREFIX:?} are the platform's; choose another"),
        ));
    }
}

/// All rules that the password breaks. Never repeats the password.
pub fn check_password(pointer: &str, user: &str, password: &str, faults: &mut Vec<FieldError>) {
    if !PASSWORD_LENGTH.contains(&password.chars().count()) {
        let (min, max) = (*PASSWORD_LENGTH.start(), *PASSWORD_LENGTH.end());
        let detail = format!("a password is {min} to {max} characters");
        faults.push(FieldError::new(pointer, "password-length", detail).with("min", min).with("max", max));
    }
    let mut fault = |code: &str, detail: &str| faults.push(FieldError::new(pointer, code, detail));
    if !password.chars().all(|c| c.is_ascii_graphic()) {
        fault(
            "password-characters",
            "a password is of letters, digits and the special characters of ASCII, without spaces",
        );
    }
    let classes: [fn(&char) -> bool; 4] =
        [char::is_ascii_uppercase, char::is_ascii_lowercase, char::is_ascii_digit, char::is_ascii_punctuation];
    if classes.iter().filter(|class| password.chars().any(|c| class(&c))).count() < 3 {
        fault("password-classes", "a password has three of: upper case, lower case, digit, special character");
    }
    if password.starts_with('-') {
        fault("password-start", "a password does not begin with '-'");
    }
    let lower = password.to_ascii_lowercase();
    let user = user.to_ascii_lowercase();
    let backwards: String = user.chars().rev().collect();
    if user.len() >= 4 && (lower.contains(&user) || lower.contains(&backwards)) {
        fault("password-weak", "a password does not contain the user's name, forwards or backwards");
    } else if is_weak(&lower) {
        fault("password-weak", "this password is among the first that are tried; choose another");
    }
}

/// A weak core with little around it, or few different characters.
fn is_weak(lower: &str) -> bool {
    let different = lower.chars().collect::<std::collections::BTreeSet<_>>().len();
    different < 4 || WEAK.iter().any(|weak| lower.contains(weak) && lower.len() < weak.len() + 6)
}

/// A password of `random`, or `None` when chance made one that breaks a rule: then draw again. Each of the 64
/// characters is equally likely, and none needs quoting in a shell, a properties file or JSON.
pub fn password_from(user: &str, random: [u8; PASSWORD_BYTES]) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let password: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
    let mut faults = Vec::new();
    check_password("", user, &password, &mut faults);
    faults.is_empty().then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(user: &str, password: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check_password("/password", user, password, &mut faults);
        faults.into_iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn each_broken_rule_of_a_password_is_told() {
        for (password, broken) in [
            ("Tr4nquil-Harbour", &[][..]),
            ("aA1", &["password-length", "password-weak"][..]),
            ("lowercaseonly", &["password-classes"]),
            ("-Tr4nquilHarbour", &["password-start"]),
            ("Tr4nquil Harbour", &["password-characters"]),
            ("P@ssw0rd1", &["password-weak"]),
            ("my-Alice-2024", &["password-weak"]),
            ("my-ecilA-2024", &["password-weak"]),
        ] {
            assert_eq!(codes("alice", password), broken, "{password}");
        }
    }

    #[test]
    fn the_platforms_names_are_reserved_in_any_case() {
        for name in ["sluice-node", "Sluice_x", "SLUICE"] {
            let mut faults = Vec::new();
            check_user("/user", name, &mut faults);
            assert_eq!(faults.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["user-reserved"], "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_generated_password_keeps_the_rules(random in any::<[u8; PASSWORD_BYTES]>()) {
            if let Some(password) = password_from(DEFAULT_USER, random) {
                prop_assert_eq!(codes(DEFAULT_USER, &password), Vec::<String>::new());
            }
        }
    }
}
