//! Server-sent events (WHATWG HTML §9.2), as much of them as job histories need.

use crate::error::{Error, Result};
use futures::{Stream, StreamExt as _};
use reqwest::Response;
use std::pin::Pin;

/// A line longer than this is no event of ours.
const LONGEST_LINE: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// The last `id` seen in the stream, this event's or an earlier one's.
    pub id: Option<String>,
    pub data: String,
}

type Bytes = Pin<Box<dyn Stream<Item = Result<Vec<u8>, reqwest::Error>> + Send>>;

pub struct Events {
    bytes: Bytes,
    parser: Parser,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub fn new(response: Response) -> Self {
        let bytes = response.bytes_stream().map(|chunk| chunk.map(Vec::from));
        Self { bytes: Box::pin(bytes), parser: Parser::default() }
    }

    /// The next event; `None` at the end of the stream, orderly or not: the reader resumes either way.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            match self.bytes.next().await {
                Some(Ok(chunk)) => self.parser.feed(&chunk)?,
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    id: Option<String>,
    data: Vec<String>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > LONGEST_LINE && !self.buffer.contains(&b'\n') {
            return Err(Error::Answer { what: "the event stream".to_owned(), reason: "a line has no end".to_owned() });
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if self.data.is_empty() {
                    continue;
                }
                return Some(Event { id: self.id.clone(), data: std::mem::take(&mut self.data).join("\n") });
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.id = Some(value.to_owned()),
                "data" => self.data.push(value.to_owned()),
                // Comments keep the connection alive; `event` and `retry` say nothing that is needed.
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text = b": hello\n\nid: 1\nevent: progress\ndata: {\"a\":\ndata: 1}\r\n\r\ndata: two\n\nid: 3\ndata: lost";
        for cut in 1..text.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in text.chunks(cut) {
                parser.feed(chunk).unwrap();
                while let Some(event) = parser.next() {
                    events.push(event);
                }
            }
            let first = Event { id: Some("1".into()), data: "{\"a\":\n1}".into() };
            let second = Event { id: Some("1".into()), data: "two".into() };
            assert_eq!(events, [first, second], "cut every {cut} bytes");
        }
    }
}
