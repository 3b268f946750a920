//! As much of DER (X.690) as key files need: values with a tag and a length.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// What is left to read. Lengths are compared with what is there before anything is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Content of the value that comes next, if it has this tag.
    pub(super) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        if *self.take(1)?.first()? != tag {
            return None;
        }
        let length = match *self.take(1)?.first()? {
            short @ 0..=0x7f => usize::from(short),
            long @ 0x81..=0x83 => {
                self.take(usize::from(long - 0x80))?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        self.take(length)
    }
}

/// The value of this tag that holds all the parts. `None` above 64 KiB, which no key has.
pub(super) fn write(tag: u8, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).ok()?;
    let [high, low] = length.to_be_bytes();
    let mut value = vec![tag];
    // The shortest form of the length: readers refuse any other.
    match length {
        0..=0x7f => value.push(low),
        0x80..=0xff => value.extend([0x81, low]),
        _ => value.extend([0x82, high, low]),
    }
    value.extend(content);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 127, 128, 300, 65_535] {
            let written = write(OCTETS, &[&vec![7; length]]).unwrap();
            assert_eq!(Reader(&written).value(OCTETS).unwrap().len(), length);
            assert_eq!(Reader(&written).value(INTEGER), None);
            assert_eq!(Reader(&written[..written.len() - 1]).value(OCTETS), None);
            assert_eq!(written.len() - length, [2, 3, 4][usize::from(length > 127) + usize::from(length > 255)]);
        }
    }
}
