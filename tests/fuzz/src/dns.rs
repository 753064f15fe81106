//! What a name server answers, as one message. The first byte says what of it is made right before it is read, so that what
//! follows is reached: bit 0 the kind of addresses that is asked for, bit 1 the id stays as it is, bit 2 the question stays.

use std::net::IpAddr;

use berth::io::http::dns::message::{Answer, Query, RecordType};

use crate::check_shown;

const NAME: &str = "api.test";
/// CNAMEs that are followed at most.
const MOST_ALIASES: usize = 20;
/// What no name of at most 255 bytes needs.
const MOST_POINTERS: usize = 255;

/// An answer counts only if it answers the question that was asked; an address is one of its answer section, of the kind and class
/// that was asked for, under the name or what that is an alias of. Reading ends, also where names point at each other.
pub fn dns(bytes: &[u8]) {
    let Some((control, message)) = bytes.split_first() else {
        return;
    };
    let (kind, code) = if control & 1 == 0 { (RecordType::A, 1) } else { (RecordType::Aaaa, 28) };
    let query = Query::new(NAME, kind).unwrap();
    let question = query.bytes();
    let mut message = message.to_vec();
    if control & 2 == 0 && message.len() >= 2 {
        message[..2].copy_from_slice(&question[..2]);
    }
    if control & 4 == 0 && message.len() >= question.len() {
        message[2] |= 0x80;
        message[4..6].copy_from_slice(&question[4..6]);
        message[12..question.len()].copy_from_slice(&question[12..]);
    }
    let Some(answer) = query.read(&message) else {
        return;
    };
    let wire = Wire(&message);
    assert_eq!(message[..2], question[..2], "an answer to another id");
    assert!(message[2] & 0x80 != 0, "a question is read as an answer");
    assert_eq!(wire.u16(4), Some(1), "an answer to several questions");
    let (asked, records) = wire.name(12).expect("an answer whose question cannot be read");
    assert!(asked.eq_ignore_ascii_case(b"\x03api\x04test"), "an answer about {asked:?}");
    assert_eq!(
        (wire.u16(records), wire.u16(records + 2)),
        (Some(code), Some(1)),
        "an answer to a question of another kind"
    );
    let (truncated, response) = (message[2] & 2 != 0, message[3] & 15);
    match answer {
        Answer::Truncated => assert!(truncated),
        _ if truncated => panic!("{answer:?} of a truncated message"),
        Answer::Addresses(addresses) => {
            assert_eq!(response, 0);
            assert_eq!(Some(addresses), wire.addresses(asked, records + 4, code), "other addresses than there are");
        }
        Answer::NoSuchName => assert_eq!(response, 3),
        Answer::Refused(code) => {
            assert!(response != 0 && response != 3, "{code} for {response}");
            check_shown(&code);
        }
        Answer::Malformed => assert_eq!(response, 0),
    }
}

/// A message, read in the plainest way: what the crate that berth reads it with must agree with.
struct Wire<'m>(&'m [u8]);

impl Wire<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        self.0.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The name at a place as labels with their lengths, in lower case, and where what follows it begins.
    fn name(&self, mut at: usize) -> Option<(Vec<u8>, usize)> {
        let (mut name, mut after) = (Vec::new(), None);
        for _ in 0..=MOST_POINTERS {
            let mut length = usize::from(*self.0.get(at)?);
            while (1..64).contains(&length) {
                name.extend(self.0.get(at..at + 1 + length)?.to_ascii_lowercase());
                at += 1 + length;
                length = usize::from(*self.0.get(at)?);
            }
            match length {
                0 => return (name.len() < 255).then_some((name, after.unwrap_or(at + 1))),
                192.. => {
                    after = after.or(Some(at + 2));
                    at = usize::from(self.u16(at)? & 0x3fff);
                }
                _ => return None,
            }
        }
        None
    }

    fn addresses(&self, mut name: Vec<u8>, mut at: usize, kind: u16) -> Option<Vec<IpAddr>> {
        let (mut aliases, mut found) = (Vec::new(), Vec::new());
        for _ in 0..self.u16(6)? {
            let (owner, record) = self.name(at)?;
            let start = record + 10;
            let end = start + usize::from(self.u16(record + 8)?);
            let data = self.0.get(start..end)?;
            match (self.u16(record)?, self.u16(record + 2)?) {
                (5, _) => {
                    aliases.extend(self.name(start).filter(|(_, after)| *after == end).map(|(to, _)| (owner, to)))
                }
                (of, 1) if of == kind => found.push((owner, data)),
                _ => {}
            }
            at = end;
        }
        for _ in 0..MOST_ALIASES {
            let Some((_, target)) = aliases.iter().find(|(owner, _)| *owner == name) else {
                break;
            };
            name.clone_from(target);
        }
        let addresses = found.iter().filter(|(owner, _)| *owner == name);
        addresses.map(|(_, data)| address(data)).collect()
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
    }
}
