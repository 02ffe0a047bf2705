//! The bearer token that admits a client to the signaling server.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time;

/// A shared secret, sent as `Authorization: Bearer …` (RFC 6750 §2.1). Never shown in a log.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is not a [`Token`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It holds nothing but white space. An empty token would admit everybody.
    #[error("the token is empty")]
    Empty,
    /// It cannot stand in an HTTP header.
    #[error("the token may only hold visible ASCII characters, without white space inside")]
    IllegalCharacter,
}

impl Token {
    /// The value of the `Authorization` header that presents this token.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether the value of an `Authorization` header presents this token. How long that takes tells nothing of the
    /// token but its length.
    pub fn is_presented_by(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, presented)) = authorization.split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME)
            && constant_time::verify_slices_are_equal(presented.trim_ascii(), self.0.as_bytes())
                .is_ok()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Takes the text of a file or an environment variable: white space around the token does not count.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let token = text.trim();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::IllegalCharacter);
        }
        Ok(Self(token.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_behind_the_bearer_scheme_is_accepted() {
        let token: Token = " s3cret\n".parse().expect("a token");
        assert!(token.is_presented_by(token.authorization().as_bytes()));
        assert!(token.is_presented_by(b"bearer s3cret"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"]
        {
            assert!(!token.is_presented_by(wrong.as_bytes()), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn a_token_that_could_not_be_sent_or_would_admit_everybody_is_refused() {
        assert_eq!(" \n".parse::<Token>().map(|_| ()), Err(TokenError::Empty));
        assert_eq!("two words".parse::<Token>().map(|_| ()), Err(TokenError::IllegalCharacter));
        assert_eq!("schlüssel".parse::<Token>().map(|_| ()), Err(TokenError::IllegalCharacter));
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let token: Token = "s3cret".parse().expect("a token");
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
