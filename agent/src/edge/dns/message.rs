//! DNS messages on the wire (RFC 1035 section 4): one question out, the addresses in its answer back. Never panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The two kinds of records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordType {
    A,
    Aaaa,
}

impl RecordType {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;
/// Length of the header, and so where the question begins.
const HEADER: usize = 12;
/// Longer chains of CNAMEs are loops or mischief.
const MAX_CHAIN: usize = 16;

/// A question, ready to send.
#[derive(Debug)]
pub(super) struct Query {
    bytes: Vec<u8>,
    name: Labels,
    kind: RecordType,
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses, empty when the name has none of this kind.
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN
    NoSuchName,
    /// Any other response code.
    Refused(u8),
}

/// An answer to the very question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) answer: Answer,
    /// It did not fit: ask again over TCP.
    pub(super) truncated: bool,
}

/// A name as its labels in lower case.
type Labels = Vec<Vec<u8>>;

impl Query {
    /// A recursive question with a random id; none if `name` cannot be a name.
    pub(super) fn new(name: &str, kind: RecordType) -> Option<Self> {
        let name: Labels = name.split('.').map(|label| label.to_ascii_lowercase().into_bytes()).collect();
        let total: usize = name.iter().map(|label| label.len() + 1).sum();
        if total > 254 || name.iter().any(|label| label.is_empty() || label.len() > 63) {
            return None;
        }
        let mut bytes = random_id()?.to_vec();
        bytes.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired; one question
        for label in &name {
            bytes.push(u8::try_from(label.len()).ok()?);
            bytes.extend(label);
        }
        bytes.push(0);
        bytes.extend(kind.code().to_be_bytes());
        bytes.extend(INTERNET.to_be_bytes());
        Some(Self { bytes, name, kind })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads what came back; none if it is no answer to this question, whatever else it may be.
    pub(super) fn read(&self, answer: &[u8]) -> Option<Read> {
        let id = u16_at(answer, 0)?;
        let flags = u16_at(answer, 2)?;
        let (questions, records) = (u16_at(answer, 4)?, u16_at(answer, 6)?);
        let is_response = flags & 0x8000 != 0 && flags & 0x7800 == 0;
        if id != u16_at(&self.bytes, 0)? || !is_response || questions != 1 {
            return None;
        }
        let (asked, at) = name_at(answer, HEADER)?;
        if asked != self.name || u16_at(answer, at)? != self.kind.code() || u16_at(answer, at + 2)? != INTERNET {
            return None;
        }
        let truncated = flags & 0x0200 != 0;
        let answer = match flags & 0x000f {
            // What there is of it is not worth reading.
            _ if truncated => Answer::Addresses(Vec::new()),
            0 => Answer::Addresses(self.addresses(answer, at + 4, records)?),
            3 => Answer::NoSuchName,
            code => Answer::Refused(u8::try_from(code).ok()?),
        };
        Some(Read { answer, truncated })
    }

    /// The addresses of the name, following the CNAMEs of the same answer in whatever order they came.
    fn addresses(&self, message: &[u8], mut at: usize, records: u16) -> Option<Vec<IpAddr>> {
        let mut aliases: Vec<(Labels, Labels)> = Vec::new();
        let mut found: Vec<(Labels, IpAddr)> = Vec::new();
        for _ in 0..records {
            let (owner, record) = name_at(message, at)?;
            let (kind, class) = (u16_at(message, record)?, u16_at(message, record + 2)?);
            let length = usize::from(u16_at(message, record + 8)?);
            let start = record + 10;
            let data = message.get(start..start + length)?;
            if class == INTERNET && kind == CNAME {
                aliases.push((owner, name_at(message, start)?.0));
            } else if class == INTERNET && kind == self.kind.code() {
                found.push((owner, address(self.kind, data)?));
            }
            at = start + length;
        }
        let mut name = &self.name;
        for _ in 0..MAX_CHAIN {
            match aliases.iter().find(|(owner, _)| owner == name) {
                Some((_, target)) => name = target,
                None => break,
            }
        }
        Some(found.iter().filter(|(owner, _)| owner == name).map(|(_, address)| *address).collect())
    }
}

fn address(kind: RecordType, data: &[u8]) -> Option<IpAddr> {
    Some(match kind {
        RecordType::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
        RecordType::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
    })
}

/// The name at a place, in lower case, and where reading goes on. Pointers lead strictly backwards, so this ends.
fn name_at(message: &[u8], start: usize) -> Option<(Labels, usize)> {
    let mut labels = Labels::new();
    let (mut at, mut limit) = (start, start);
    let mut after = None;
    let mut total = 0;
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some((labels, after.unwrap_or(at + 1))),
            1..=63 => {
                total += length + 1;
                if total > 254 {
                    return None;
                }
                labels.push(message.get(at + 1..at + 1 + length)?.to_ascii_lowercase());
                at += 1 + length;
            }
            192.. => {
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                if target >= limit {
                    return None;
                }
                after = after.or(Some(at + 2));
                (at, limit) = (target, target);
            }
            _ => return None,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// From the system's generator: who guesses it can forge an answer.
fn random_id() -> Option<[u8; 2]> {
    let mut id = [0; 2];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut id).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(mut answer in proptest::collection::vec(any::<u8>(), 0..600), is_ours: bool) {
            let query = Query::new("api.test", RecordType::A).unwrap();
            if is_ours && answer.len() > query.bytes.len() {
                // Past the checks of header and question, into the records.
                let records = answer[7];
                answer[..query.bytes.len()].copy_from_slice(&query.bytes);
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[7] = records;
            }
            let _ = query.read(&answer);
        }

        #[test]
        fn no_name_makes_the_writer_panic(name in ".{0,300}") {
            let _ = Query::new(&name, RecordType::Aaaa);
        }
    }

    #[test]
    fn pointers_that_turn_in_a_circle_end() {
        assert_eq!(name_at(&[0xc0, 0], 0), None);
        assert_eq!(name_at(&[1, b'a', 0xc0, 0], 0), None);
        assert_eq!(name_at(&[0xc0, 2, 0xc0, 0], 2), None);
        assert_eq!(name_at(&[1, b'A', 0, 1, b'b', 0xc0, 0], 3), Some((vec![b"b".to_vec(), b"a".to_vec()], 7)));
    }

    #[test]
    fn ids_differ() {
        let id = || random_id().unwrap();
        assert!((0..8).any(|_| id() != id()));
    }
}
