//! Reading and writing the few Kafka messages that the gateway must understand.
//!
//! Borrowing, bounded and total: nothing is allocated for a length that a peer claims, an array's
//! length is checked against the bytes that are there, and every fault is a [`Malformed`].
//! One [`Reader`] serves both encodings; `flexible` chooses the compact one (KIP-482).

use std::str;

/// The bytes are not the message that they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the message ends early")]
    Short,
    #[error("a length is negative or longer than the message")]
    Length,
    #[error("text is not UTF-8")]
    Text,
    #[error("a variable-length integer is too long")]
    Varint,
    #[error("bytes are left over")]
    Trailing,
    #[error("more items than one request may name")]
    TooMany,
}

pub(super) type Wire<T> = Result<T, Malformed>;

/// A cursor over one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, at: 0, flexible }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// All that was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What was read since `start`, a former [`position`](Self::position).
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start.min(self.at)..self.at]
    }

    pub(super) fn end(&self) -> Wire<()> {
        if self.remaining() == 0 { Ok(()) } else { Err(Malformed::Trailing) }
    }

    pub(super) fn take(&mut self, n: usize) -> Wire<&'a [u8]> {
        let bytes = self.rest().get(..n).ok_or(Malformed::Short)?;
        self.at += n;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Wire<[u8; N]> {
        let (bytes, _) = self.rest().split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn i8(&mut self) -> Wire<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(super) fn bool(&mut self) -> Wire<bool> {
        Ok(self.i8()? != 0)
    }

    pub(super) fn i16(&mut self) -> Wire<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Wire<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Wire<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// An unsigned LEB128 of at most 32 bits.
    pub(super) fn uvarint(&mut self) -> Wire<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed::<1>()?;
            if shift == 28 && byte > 0x0f {
                return Err(Malformed::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    /// Length of a string, bytes or array; `None` is null. `wide` is the classic width's choice.
    fn length(&mut self, wide: bool) -> Wire<Option<usize>> {
        if self.flexible {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        let length = if wide { self.i32()? } else { i32::from(self.i16()?) };
        match length {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| Malformed::Length),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Wire<Option<&'a str>> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        str::from_utf8(self.take(length)?).map(Some).map_err(|_| Malformed::Text)
    }

    /// Reads over a string without looking into it.
    pub(super) fn skip_nullable_string(&mut self) -> Wire<()> {
        match self.length(false)? {
            Some(length) => self.take(length).map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn string(&mut self) -> Wire<&'a str> {
        self.nullable_string()?.ok_or(Malformed::Length)
    }

    pub(super) fn nullable_bytes(&mut self) -> Wire<Option<&'a [u8]>> {
        match self.length(true)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn bytes(&mut self) -> Wire<&'a [u8]> {
        self.nullable_bytes()?.ok_or(Malformed::Length)
    }

    /// Length of bytes of which not all have arrived; 0 for null.
    pub(super) fn partial_bytes(&mut self) -> Wire<usize> {
        Ok(self.length(true)?.unwrap_or(0))
    }

    /// Length of a string of which not all has arrived; 0 for null.
    pub(super) fn partial_text(&mut self) -> Wire<usize> {
        Ok(self.length(false)?.unwrap_or(0))
    }

    /// Length of an array, `None` for null. Every element takes a byte or more, so a length above
    /// the bytes left is a lie.
    pub(super) fn nullable_array(&mut self) -> Wire<Option<usize>> {
        match self.length(true)? {
            Some(length) if length > self.remaining() => Err(Malformed::Length),
            length => Ok(length),
        }
    }

    pub(super) fn array(&mut self) -> Wire<usize> {
        self.nullable_array()?.ok_or(Malformed::Length)
    }

    /// Length of an array of which not all elements have arrived: not checked, so only for loops
    /// that end with the bytes.
    pub(super) fn partial_array(&mut self) -> Wire<usize> {
        self.length(true)?.ok_or(Malformed::Length)
    }

    /// Skips the tagged fields that end a flexible structure; reads nothing in the classic encoding.
    pub(super) fn tags(&mut self) -> Wire<()> {
        if self.flexible {
            for _ in 0..self.uvarint()? {
                self.uvarint()?;
                let length = self.uvarint()? as usize;
                self.take(length)?;
            }
        }
        Ok(())
    }
}

/// Builds one message.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(super) fn new(flexible: bool) -> Self {
        Self { bytes: Vec::new(), flexible }
    }

    /// For a part of it that is written later, in the same encoding.
    pub(super) fn part(&self) -> Self {
        Self::new(self.flexible)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn uvarint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Lengths come from messages and specs, both far below 2³¹; anything else is cut, not wrapped.
    fn length(&mut self, length: Option<usize>, wide: bool) {
        let length = length.map(|n| i32::try_from(n).unwrap_or(i32::MAX - 1));
        match (self.flexible, wide) {
            (true, _) => self.uvarint(length.map_or(0, |n| n.unsigned_abs() + 1)),
            (false, true) => self.i32(length.unwrap_or(-1)),
            (false, false) => self.i16(length.map_or(-1, |n| i16::try_from(n).unwrap_or(i16::MAX))),
        }
    }

    pub(super) fn nullable_string(&mut self, text: Option<&str>) {
        // A classic string can't be longer than its 16-bit length.
        let limit = if self.flexible { i32::MAX as usize - 1 } else { i16::MAX as usize };
        let bytes = text.map(|text| &text.as_bytes()[..text.floor_char_boundary(limit)]);
        self.length(bytes.map(<[u8]>::len), false);
        self.raw(bytes.unwrap_or_default());
    }

    pub(super) fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length(Some(bytes.len()), true);
        self.raw(bytes);
    }

    pub(super) fn array(&mut self, length: usize) {
        self.length(Some(length), true);
    }

    /// No tagged fields; nothing in the classic encoding.
    pub(super) fn tags(&mut self) {
        if self.flexible {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_both_encodings() {
        for flexible in [false, true] {
            let mut w = Writer::new(flexible);
            w.i16(-7);
            w.string("orders");
            w.nullable_string(None);
            w.bytes(b"\x00\xff");
            w.array(1);
            w.i64(i64::MIN);
            w.tags();
            let mut r = Reader::new(&w.bytes, flexible);
            assert_eq!(r.i16(), Ok(-7));
            assert_eq!(r.string(), Ok("orders"));
            assert_eq!(r.nullable_string(), Ok(None));
            assert_eq!(r.bytes(), Ok(&b"\x00\xff"[..]));
            assert_eq!(r.array(), Ok(1));
            assert_eq!(r.i64(), Ok(i64::MIN));
            assert_eq!(r.tags(), Ok(()));
            assert_eq!(r.end(), Ok(()));
        }
    }

    #[test]
    fn variable_length_integers_keep_their_value_and_end() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut w = Writer::new(true);
            w.uvarint(value);
            assert_eq!(Reader::new(&w.bytes, true).uvarint(), Ok(value));
        }
        assert_eq!(Reader::new(&[0xff; 6], true).uvarint(), Err(Malformed::Varint));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f], true).uvarint(), Err(Malformed::Varint));
    }

    #[test]
    fn an_array_longer_than_the_message_is_refused_before_anything_is_allocated() {
        assert_eq!(Reader::new(&i32::MAX.to_be_bytes(), false).array(), Err(Malformed::Length));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).array(), Err(Malformed::Length));
        assert_eq!(Reader::new(&(-2i32).to_be_bytes(), false).array(), Err(Malformed::Length));
    }
}
