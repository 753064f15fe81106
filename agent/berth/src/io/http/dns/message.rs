//! DNS messages: one question, and the addresses in its answer. The crate `domain` reads and writes the wire format.

use std::net::IpAddr;

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};

/// The two record types of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses
    A,
    /// IPv6 addresses
    Aaaa,
}

/// A question, ready to send.
#[derive(Debug)]
pub struct Query {
    message: Message<Vec<u8>>,
    kind: RecordType,
}

/// The answer of a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, empty if the name has none of this kind.
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN
    NoSuchName,
    /// Any other response code, by its name.
    Refused(String),
    /// The answer did not fit: ask again over TCP.
    Truncated,
    /// It answers the question, but its records cannot be parsed.
    Malformed,
}

impl Query {
    /// A recursive question with a random id; none if `name` is not a valid name.
    pub fn new(name: &str, kind: RecordType) -> Option<Self> {
        let name = Name::<Vec<u8>>::vec_from_str(name).ok().filter(|name| !name.is_root())?;
        // From the system's generator: an answer can be forged by anyone who can guess the id.
        let mut id = [0; 2];
        getrandom::fill(&mut id).ok()?;
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(u16::from_be_bytes(id));
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((name, kind.code())).ok()?;
        Some(Self { message: builder.into_message(), kind })
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        self.message.as_slice()
    }

    /// Parses a received message; none if it does not answer this question.
    pub fn read(&self, answer: &[u8]) -> Option<Answer> {
        let answer = Message::from_octets(answer).ok().filter(|answer| answer.is_answer(&self.message))?;
        if answer.header().tc() {
            return Some(Answer::Truncated);
        }
        Some(match answer.header().rcode() {
            Rcode::NOERROR => match self.addresses(answer) {
                Some(addresses) => Answer::Addresses(addresses),
                None => Answer::Malformed,
            },
            Rcode::NXDOMAIN => Answer::NoSuchName,
            code => Answer::Refused(code.to_string()),
        })
    }

    /// The addresses of the name, following the CNAMEs of the same answer in whatever order they came.
    fn addresses(&self, answer: Message<&[u8]>) -> Option<Vec<IpAddr>> {
        let name = answer.canonical_name()?;
        let mut found = Vec::new();
        for record in answer.answer().ok()? {
            let record = record.ok()?;
            if record.class() != Class::IN || record.owner() != name {
                continue;
            }
            let address: Option<IpAddr> = match self.kind {
                RecordType::A => record.to_record::<A>().ok()?.map(|a| a.data().addr().into()),
                RecordType::Aaaa => record.to_record::<Aaaa>().ok()?.map(|aaaa| aaaa.data().addr().into()),
            };
            found.extend(address);
        }
        Some(found)
    }
}

impl RecordType {
    fn code(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
        }
    }
}
