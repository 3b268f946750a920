//! Names, descriptions and labels of resources.

use control_plane_api::problem::FieldError;
use std::collections::BTreeMap;

/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 1_024;
/// Most labels of a resource.
pub const MAX_LABELS: usize = 32;
/// Longest key of a label, in characters.
pub const MAX_LABEL_KEY: usize = 63;
/// Longest value of a label, in characters.
pub const MAX_LABEL_VALUE: usize = 255;

/// A letter, then letters, digits, `-` and `_`: 4 to 64 in all (product.md §2).
pub fn is_name(text: &str) -> bool {
    (4..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub fn check_name(pointer: &str, text: &str, faults: &mut Vec<FieldError>) {
    if !is_name(text) {
        faults.push(FieldError::new(
            pointer,
            "name-shape",
            "a name is 4 to 64 letters, digits, '-' and '_', beginning with a letter",
        ));
    }
}

pub fn check_description(pointer: &str, text: &str, faults: &mut Vec<FieldError>) {
    let length = text.chars().count();
    if length > MAX_DESCRIPTION {
        let detail = format!("{length} characters are given; {MAX_DESCRIPTION} at most are accepted");
        faults.push(FieldError::new(pointer, "too-long", detail).with("limit", MAX_DESCRIPTION));
    }
    if text.contains('\0') {
        faults.push(FieldError::new(pointer, "bad-character", "the character U+0000 is not accepted"));
    }
}

/// Keys are letters, digits, `.`, `-`, `_` and `/`, since `key:value` is how lists filter by them.
pub fn check_labels(pointer: &str, labels: &BTreeMap<String, String>, faults: &mut Vec<FieldError>) {
    if labels.len() > MAX_LABELS {
        let detail = format!("{} labels are given; {MAX_LABELS} at most are accepted", labels.len());
        faults.push(FieldError::new(pointer, "too-many-labels", detail).with("limit", MAX_LABELS));
    }
    for (key, value) in labels {
        let place = format!("{pointer}/{}", escape_pointer(key));
        let key_shaped = (1..=MAX_LABEL_KEY).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/".contains(&b));
        if !key_shaped {
            faults.push(FieldError::new(
                place.clone(),
                "label-key",
                format!("a label's key is 1 to {MAX_LABEL_KEY} letters, digits, '.', '-', '_' and '/'"),
            ));
        }
        if value.chars().count() > MAX_LABEL_VALUE || value.chars().any(char::is_control) {
            faults.push(FieldError::new(
                place,
                "label-value",
                format!("a label's value is at most {MAX_LABEL_VALUE} characters, none of them a control character"),
            ));
        }
    }
}

/// A member name inside a JSON pointer (RFC 6901 §3).
fn escape_pointer(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_their_shape() {
        for good in ["orders", "Ab-1", "a_______", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "abc", "1abc", "-abc", "ab c", "größe", "orders\n", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn each_bad_label_is_named_by_its_pointer() {
        let labels = BTreeMap::from([("a b".to_owned(), "x".to_owned()), ("team/x".to_owned(), "\n".to_owned())]);
        let mut faults = Vec::new();
        check_labels("/labels", &labels, &mut faults);
        let places: Vec<(&str, &str)> = faults.iter().map(|f| (f.pointer.as_str(), f.code.as_str())).collect();
        assert_eq!(places, [("/labels/a b", "label-key"), ("/labels/team~1x", "label-value")]);
    }
}
