//! Kafka's own definitions of its messages, read out of its jar, and what follows from them: random
//! valid messages, and a codec that shares nothing with the gateway's.

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// One message in all its versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) api_key: Option<i16>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) listeners: Vec<String>,
    valid_versions: Versions,
    #[serde(default)]
    flexible_versions: Versions,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    common_structs: Vec<Field>,
    /// The newest version is not offered by brokers yet.
    #[serde(default)]
    latest_version_unstable: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    name: String,
    /// Absent for a structure that fields refer to.
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    versions: Versions,
    #[serde(default)]
    nullable_versions: Versions,
    #[serde(default)]
    tagged_versions: Versions,
    #[serde(default, deserialize_with = "tag")]
    tag: Option<u32>,
    #[serde(default)]
    fields: Vec<Field>,
}

/// A number, which some definitions put in quotes.
fn tag<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let tag = serde_json::Value::deserialize(from)?.to_string();
    tag.trim_matches('"').parse().map(Some).map_err(serde::de::Error::custom)
}

/// `none`, `3`, `3-7` or `3+`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "String")]
struct Versions(Option<RangeInclusive<i16>>);

impl TryFrom<String> for Versions {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(match text.as_str() {
            "none" => None,
            range => Some(match (range.strip_suffix('+'), range.split_once('-')) {
                (Some(first), _) => first.parse()?..=i16::MAX,
                (None, Some((first, last))) => first.parse()?..=last.parse()?,
                (None, None) => range.parse()?..=range.parse()?,
            }),
        }))
    }
}

impl Versions {
    fn has(&self, version: i16) -> bool {
        self.0.as_ref().is_some_and(|range| range.contains(&version))
    }
}

/// A message or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Numbers, booleans, ids: as they are encoded.
    Fixed(Vec<u8>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    List(Option<Vec<Value>>),
    Struct(Option<Struct>),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Struct {
    pub(super) fields: BTreeMap<String, Value>,
    /// Tagged fields that the definition does not know.
    pub(super) unknown: BTreeMap<u32, Vec<u8>>,
}

impl Struct {
    pub(super) fn get(&mut self, name: &str) -> &mut Value {
        self.fields.get_mut(name).unwrap_or_else(|| panic!("no field {name}"))
    }

    /// The elements of an array of structures.
    pub(super) fn list(&mut self, name: &str) -> &mut Vec<Value> {
        match self.get(name) {
            Value::List(Some(list)) => list,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(super) fn int(&mut self, name: &str) -> i64 {
        match self.get(name) {
            Value::Fixed(bytes) => bytes.iter().skip(1).fold(i64::from(bytes[0] as i8), |n, b| n << 8 | i64::from(*b)),
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        *self.get(name) = Value::Text(Some(text.to_owned()));
    }

    pub(super) fn set_fixed(&mut self, name: &str, bytes: &[u8]) {
        *self.get(name) = Value::Fixed(bytes.to_vec());
    }
}

impl Value {
    pub(super) fn fields(&mut self) -> &mut Struct {
        match self {
            Self::Struct(Some(fields)) => fields,
            other => panic!("no structure: {other:?}"),
        }
    }
}

/// Every message that is defined in the Kafka of this version under `$SLUICE_TOOLS`; none where it is missing.
pub(super) fn of_kafka(version: &str) -> Option<Vec<(Direction, Message)>> {
    let tools = std::env::var_os("SLUICE_TOOLS")?;
    let jar = Path::new(&tools).join(format!("kafka/{version}/libs/kafka-clients-{version}.jar"));
    jar.exists().then_some(())?;
    let unpacked = tempfile::tempdir().unwrap();
    let mut unzip = Command::new("unzip");
    unzip.arg("-q").arg(&jar).arg("common/message/*.json").arg("-d").arg(unpacked.path());
    assert!(unzip.status().expect("unzip runs").success(), "{} cannot be read", jar.display());
    let files = std::fs::read_dir(unpacked.path().join("common/message")).unwrap().map(|file| file.unwrap().path());
    let mut messages: Vec<_> = files.filter_map(|file| parse(&std::fs::read_to_string(file).unwrap())).collect();
    messages.sort_by_key(|(direction, message)| (message.api_key, *direction == Direction::Response));
    Some(messages)
}

fn parse(text: &str) -> Option<(Direction, Message)> {
    let json: serde_json::Value = serde_json::from_str(&without_comments(text)).expect("a definition");
    let direction = match json["type"].as_str()? {
        "request" => Direction::Request,
        "response" => Direction::Response,
        _ => return None,
    };
    Some((direction, serde_json::from_value(json).expect("a message's definition")))
}

fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let quotes_before = |at: usize| line[..at].bytes().filter(|b| *b == b'"').count();
        let end = line.match_indices("//").find(|(at, _)| quotes_before(*at) % 2 == 0).map_or(line.len(), |(at, _)| at);
        plain.push_str(&line[..end]);
        plain.push('\n');
    }
    plain
}

impl Message {
    /// The versions that brokers offer.
    pub(super) fn versions(&self) -> impl Iterator<Item = i16> {
        let range = self.valid_versions.0.clone();
        let unstable = range.as_ref().filter(|_| self.latest_version_unstable).map(|range| *range.end());
        range.into_iter().flatten().filter(move |version| Some(*version) != unstable)
    }

    pub(super) fn is_flexible(&self, version: i16) -> bool {
        self.flexible_versions.has(version)
    }

    pub(super) fn random(&self, version: i16, random: &mut StdRng) -> Value {
        let codec = Codec::of(self, version);
        Value::Struct(Some(codec.random_struct(&self.fields, random)))
    }

    pub(super) fn encode(&self, version: i16, value: &Value) -> Vec<u8> {
        let Value::Struct(Some(fields)) = value else { panic!("a message is a structure") };
        let mut out = Vec::new();
        Codec::of(self, version).encode_struct(&self.fields, fields, &mut out);
        out
    }

    /// Panics when bytes are missing or left over.
    pub(super) fn decode(&self, version: i16, bytes: &[u8]) -> Value {
        let mut bytes = bytes;
        let fields = Codec::of(self, version).decode_struct(&self.fields, &mut bytes);
        assert!(bytes.is_empty(), "{} bytes are left over in {} {version}", bytes.len(), self.name);
        Value::Struct(Some(fields))
    }
}

struct Codec<'a> {
    version: i16,
    flexible: bool,
    structs: HashMap<&'a str, &'a [Field]>,
}

/// Words that mean something to somebody.
const WORDS: [&str; 14] = [
    "orders",
    "sluice-node",
    "User:sluice",
    "User:alice",
    "User:*",
    "*",
    "__sluice_admission",
    "__consumer_offsets",
    "max.message.bytes",
    "999999999",
    "user",
    "ip",
    "kafka-cluster",
    "/data",
];

impl<'a> Codec<'a> {
    fn of(message: &'a Message, version: i16) -> Self {
        let structs = message.common_structs.iter().map(|s| (s.name.as_str(), s.fields.as_slice())).collect();
        Self { version, flexible: message.is_flexible(version), structs }
    }

    fn is_tagged(&self, field: &Field) -> bool {
        field.tagged_versions.has(self.version)
    }

    fn present<'f>(&self, fields: &'f [Field]) -> impl Iterator<Item = &'f Field> {
        let version = self.version;
        fields.iter().filter(move |field| field.versions.has(version) || field.tagged_versions.has(version))
    }

    fn parts<'f>(&self, field: &'f Field, kind: &str) -> &'f [Field]
    where
        'a: 'f,
    {
        if field.fields.is_empty() { self.structs.get(kind).copied().unwrap_or_default() } else { &field.fields }
    }

    fn random_struct(&self, fields: &[Field], random: &mut StdRng) -> Struct {
        let mut made = Struct::default();
        for field in self.present(fields) {
            if !self.is_tagged(field) || random.random() {
                made.fields.insert(field.name.clone(), self.random_value(field, &field.kind, true, random));
            }
        }
        if self.flexible && random.random_ratio(1, 20) {
            made.unknown.insert(random.random_range(100..100_000), noise(random, 40));
        }
        made
    }

    fn random_value(&self, field: &Field, kind: &str, whole: bool, random: &mut StdRng) -> Value {
        let null = whole && field.nullable_versions.has(self.version) && random.random_ratio(1, 4);
        if let Some(element) = kind.strip_prefix("[]") {
            let length =
                if random.random_ratio(1, 40) { random.random_range(0..60) } else { random.random_range(0..4) };
            let list = (0..length).map(|_| self.random_value(field, element, false, random)).collect();
            return Value::List((!null).then_some(list));
        }
        if let Some(size) = size_of(kind) {
            return Value::Fixed(match random.random_range(0..3) {
                // Small numbers are codes, ids and counts.
                0 => {
                    let small: i64 = random.random_range(-1..6);
                    small.to_be_bytes().repeat(2)[16 - size..].to_vec()
                }
                _ if kind == "bool" => vec![random.random::<bool>().into()],
                _ => (0..size).map(|_| random.random()).collect(),
            });
        }
        match kind {
            "string" => Value::Text((!null).then(|| text(random))),
            "bytes" => Value::Bytes((!null).then(|| noise(random, 300))),
            "records" => {
                let most = if random.random_ratio(1, 10) { 300_000 } else { 2_000 };
                Value::Bytes((!null).then(|| noise(random, most)))
            }
            _ => Value::Struct((!null).then(|| self.random_struct(self.parts(field, kind), random))),
        }
    }

    fn encode_struct(&self, fields: &[Field], value: &Struct, out: &mut Vec<u8>) {
        let mut tagged = BTreeMap::new();
        for field in self.present(fields) {
            if !self.is_tagged(field) {
                self.encode_value(field, &field.kind, &value.fields[&field.name], true, out);
            } else if let Some(value) = value.fields.get(&field.name) {
                let mut bytes = Vec::new();
                self.encode_value(field, &field.kind, value, true, &mut bytes);
                tagged.insert(field.tag.expect("a tag"), bytes);
            }
        }
        if self.flexible {
            tagged.extend(value.unknown.clone());
            put_varint(out, tagged.len());
            for (tag, bytes) in tagged {
                put_varint(out, tag as usize);
                put_varint(out, bytes.len());
                out.extend(bytes);
            }
        }
    }

    fn encode_value(&self, field: &Field, kind: &str, value: &Value, whole: bool, out: &mut Vec<u8>) {
        match value {
            Value::Fixed(bytes) => out.extend(bytes),
            Value::Text(text) => {
                self.put_length(text.as_ref().map(String::len), 2, out);
                out.extend(text.as_deref().unwrap_or_default().as_bytes());
            }
            Value::Bytes(bytes) => {
                self.put_length(bytes.as_ref().map(Vec::len), 4, out);
                out.extend(bytes.as_deref().unwrap_or_default());
            }
            Value::List(list) => {
                self.put_length(list.as_ref().map(Vec::len), 4, out);
                let element = kind.strip_prefix("[]").expect("an array");
                list.iter().flatten().for_each(|value| self.encode_value(field, element, value, false, out));
            }
            Value::Struct(fields) => {
                if whole && field.nullable_versions.has(self.version) {
                    out.push(if fields.is_some() { 1 } else { 0xff });
                }
                if let Some(fields) = fields {
                    self.encode_struct(self.parts(field, kind), fields, out);
                }
            }
        }
    }

    fn put_length(&self, length: Option<usize>, width: usize, out: &mut Vec<u8>) {
        if self.flexible {
            put_varint(out, length.map_or(0, |n| n + 1));
        } else {
            let length = length.map_or(-1, |n| n as i32);
            out.extend(&length.to_be_bytes()[4 - width..]);
        }
    }

    fn decode_struct(&self, fields: &[Field], bytes: &mut &[u8]) -> Struct {
        let mut read = Struct::default();
        let (tagged, plain): (Vec<_>, Vec<_>) = self.present(fields).partition(|field| self.is_tagged(field));
        for field in plain {
            read.fields.insert(field.name.clone(), self.decode_value(field, &field.kind, true, bytes));
        }
        if self.flexible {
            for _ in 0..varint(bytes) {
                let (tag, size) = (varint(bytes) as u32, varint(bytes));
                let mut content = cut(bytes, size);
                match tagged.iter().find(|field| field.tag == Some(tag)) {
                    Some(field) => {
                        let value = self.decode_value(field, &field.kind, true, &mut content);
                        assert!(content.is_empty(), "{} is longer than itself", field.name);
                        read.fields.insert(field.name.clone(), value);
                    }
                    None => {
                        read.unknown.insert(tag, content.to_vec());
                    }
                }
            }
        }
        read
    }

    fn decode_value(&self, field: &Field, kind: &str, whole: bool, bytes: &mut &[u8]) -> Value {
        if let Some(element) = kind.strip_prefix("[]") {
            let length = self.length(4, bytes);
            let list = length.map(|n| (0..n).map(|_| self.decode_value(field, element, false, bytes)).collect());
            return Value::List(list);
        }
        if let Some(size) = size_of(kind) {
            return Value::Fixed(cut(bytes, size).to_vec());
        }
        match kind {
            "string" => Value::Text(self.length(2, bytes).map(|n| String::from_utf8(cut(bytes, n).to_vec()).unwrap())),
            "bytes" | "records" => Value::Bytes(self.length(4, bytes).map(|n| cut(bytes, n).to_vec())),
            _ => {
                let null = whole && field.nullable_versions.has(self.version) && cut(bytes, 1)[0] != 1;
                Value::Struct((!null).then(|| self.decode_struct(self.parts(field, kind), bytes)))
            }
        }
    }

    fn length(&self, width: usize, bytes: &mut &[u8]) -> Option<usize> {
        if self.flexible {
            return varint(bytes).checked_sub(1);
        }
        let length = match cut(bytes, width) {
            [a, b] => i32::from(i16::from_be_bytes([*a, *b])),
            four => i32::from_be_bytes(four.try_into().unwrap()),
        };
        usize::try_from(length).ok()
    }
}

fn size_of(kind: &str) -> Option<usize> {
    Some(match kind {
        "bool" | "int8" => 1,
        "int16" | "uint16" => 2,
        "int32" => 4,
        "int64" | "float64" => 8,
        "uuid" => 16,
        _ => return None,
    })
}

fn text(random: &mut StdRng) -> String {
    if random.random_ratio(1, 3) {
        return WORDS[random.random_range(0..WORDS.len())].to_owned();
    }
    let length = if random.random_ratio(1, 50) { 3_000 } else { 12 };
    (0..random.random_range(0..length)).map(|_| ['a', 'Z', '9', '-', 'é', '流'][random.random_range(0..6)]).collect()
}

fn noise(random: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..most)];
    random.fill_bytes(&mut bytes);
    bytes
}

fn cut<'b>(bytes: &mut &'b [u8], n: usize) -> &'b [u8] {
    let (head, rest) = bytes.split_at_checked(n).expect("the message ends early");
    *bytes = rest;
    head
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = cut(bytes, 1)[0];
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a variable-length integer is too long")
}
