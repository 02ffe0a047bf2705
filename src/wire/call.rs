//! A request or a response of a service, as a message of its route.

/// Bytes before the CDR.
const NUMBER_LEN: usize = 8;

/// A request with the number that its caller gave it, or the response with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallMessage<'a> {
    /// Which call of this caller it belongs to.
    pub number: u64,
    /// Request or response, CDR with its encapsulation header.
    pub cdr: &'a [u8],
}

impl<'a> CallMessage<'a> {
    /// The message's bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NUMBER_LEN + self.cdr.len());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.cdr);
        bytes
    }

    /// Reads a message; `None` if it is too short to hold a number.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (number, cdr) = bytes.split_first_chunk::<NUMBER_LEN>()?;
        Some(Self { number: u64::from_be_bytes(*number), cdr })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_comes_first_big_endian() {
        let message = CallMessage { number: 0x0102, cdr: &[0, 1, 0, 0, 9] };
        assert_eq!(message.encode(), [0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 9]);
    }

    #[test]
    fn what_is_too_short_for_a_number_is_no_call() {
        assert_eq!(CallMessage::decode(&[0; 7]), None);
        assert_eq!(CallMessage::decode(&[0; 8]), Some(CallMessage { number: 0, cdr: &[] }));
    }

    proptest! {
        #[test]
        fn any_call_is_read_as_it_was_written(number: u64, cdr: Vec<u8>) {
            let message = CallMessage { number, cdr: &cdr };
            let bytes = message.encode();
            prop_assert_eq!(CallMessage::decode(&bytes), Some(message));
        }
    }
}
