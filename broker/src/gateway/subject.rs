//! Distinguished names as Kafka prints them: `X500Principal.getName()`, which is RFC 2253.
//!
//! What Java escapes, and how it reads each kind of string, is repeated here to the letter: access rules name users by this
//! text. Pure.

use std::fmt::Write;
use x509_parser::asn1_rs::{Any, Class, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Attribute types that RFC 2253 §2.3 has words for; all others are numbers.
const WORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];
/// Escaped wherever they stand: those of RFC 2253 §2.4, and what Java adds.
const ESCAPED: &str = ",=+<>#;\"\\";

/// The name, its last part first.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let word = WORDS.iter().find(|(known, _)| *known == number).map(|(_, word)| *word);
    match (word, characters(attribute.attr_value())) {
        (Some(word), Some(value)) => format!("{word}={}", escaped(&value)),
        (word, _) => format!("{}={}", word.unwrap_or(&number), encoded(attribute.attr_value())),
    }
}

/// The text of a value that is of a kind which Java takes for text.
fn characters(value: &Any<'_>) -> Option<String> {
    if value.header.class() != Class::Universal || value.header.is_constructed() {
        return None;
    }
    let units = |size| value.data.chunks(size).map(|unit| unit.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
    let wide = |unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some(match value.header.tag() {
        Tag::Utf8String => String::from_utf8_lossy(value.data).into_owned(),
        Tag::PrintableString | Tag::Ia5String | Tag::GeneralString => {
            units(1).map(|unit| if unit < 0x80 { wide(unit) } else { char::REPLACEMENT_CHARACTER }).collect()
        }
        Tag::T61String => units(1).map(wide).collect(),
        Tag::BmpString => {
            let units: Vec<u16> = units(2).map(|unit| u16::try_from(unit).unwrap_or(0xfffd)).collect();
            String::from_utf16_lossy(&units)
        }
        Tag::UniversalString => units(4).map(wide).collect(),
        _ => return None,
    })
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\0' => text.push_str("\\00"),
            _ if ESCAPED.contains(character) => text.extend(['\\', character]),
            _ => text.push(character),
        }
    }
    let is_space = |character: char| character == ' ' || character == '\r';
    let inner = text.trim_matches(is_space);
    let leading = text.len() - text.trim_start_matches(is_space).len();
    let outer = |text: &str| text.chars().flat_map(|space| ['\\', space]).collect::<String>();
    format!("{}{inner}{}", outer(&text[..leading]), outer(&text[leading + inner.len()..]))
}

/// `#` and the value's DER in hexadecimal (RFC 2253 §2.4).
fn encoded(value: &Any<'_>) -> String {
    let mut text = String::from("#");
    let header = &value.header;
    // Identifiers of one byte are all that names have.
    let identifier =
        (header.class() as u8) << 6 | u8::from(header.is_constructed()) << 5 | (header.tag().0 & 0x1f) as u8;
    let length = value.data.len();
    let mut bytes = vec![identifier];
    match length {
        0..=0x7f => bytes.push(length as u8),
        _ => {
            let all = length.to_be_bytes();
            let significant: Vec<u8> = all.into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | significant.len() as u8);
            bytes.extend(significant);
        }
    }
    bytes.extend(value.data);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn subject(parts: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        parts.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), value.clone()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        text(parsed.subject())
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn the_last_part_comes_first_with_the_words_of_rfc_2253() {
        let parts = [
            (DnType::CountryName, DnValue::PrintableString("US".try_into().unwrap())),
            (DnType::StateOrProvinceName, utf8("MD")),
            (DnType::LocalityName, utf8("Fulton")),
            (DnType::OrganizationName, utf8("mycp")),
            (DnType::OrganizationalUnitName, utf8("SME")),
            (DnType::CommonName, utf8("Duke")),
        ];
        assert_eq!(subject(&parts), "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US");
        assert_eq!(subject(&[]), "");
    }

    /// What `javax.security.auth.x500.X500Principal.getName()` of Java 17 said for the same bytes; but for the BMP string, of which
    /// only later ones read the characters.
    #[test]
    fn values_are_escaped_and_encoded_as_java_does() {
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let ia5 = DnValue::Ia5String("a@b.example".try_into().unwrap());
        let bmp = DnValue::BmpString("Zoë".try_into().unwrap());
        for (kind, value, expected) in [
            (
                DnType::CommonName,
                utf8("Acme, Inc. \"A+B\" <x>; a=b\\c #1"),
                "CN=Acme\\, Inc. \\\"A\\+B\\\" \\<x\\>\\; a\\=b\\\\c \\#1",
            ),
            (DnType::CommonName, utf8("  Zoë \u{1F980} "), "CN=\\ \\ Zoë \u{1F980}\\ "),
            (DnType::CommonName, utf8("a\u{0}b"), "CN=a\\00b"),
            (DnType::CommonName, utf8("#"), "CN=\\#"),
            (DnType::OrganizationName, bmp, "O=Zoë"),
            (email, ia5, "1.2.840.113549.1.9.1=#160b6140622e6578616d706c65"),
        ] {
            assert_eq!(subject(&[(kind, value)]), expected);
        }
    }
}
