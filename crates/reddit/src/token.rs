use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// A token is given up this long before Reddit would refuse it.
const SLACK: Duration = Duration::from_secs(60);

/// An app-only access token. It has no Debug output, so that it never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    secret: String,
    good_until: Instant,
}

impl Token {
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.good_until
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

/// What the token endpoint answers with status 200: a token, or an error all the same.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenAnswer {
    Granted { access_token: String, expires_in: f64 },
    Refused { error: String },
}

/// Why a token answer holds no token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenProblem {
    /// Reddit says no, in its own word (`invalid_grant`).
    Refused(String),
    /// The answer makes no sense; asking again may help.
    Malformed,
}

/// Reads a token answer.
pub(crate) fn parse_token(json: &str) -> Result<Token, TokenProblem> {
    match serde_json::from_str(json) {
        Ok(TokenAnswer::Granted { access_token, expires_in })
            if expires_in.is_finite() && expires_in >= 0.0 =>
        {
            let lifetime = Duration::from_secs_f64(expires_in.min(86_400.0));
            Ok(Token { secret: access_token, good_until: Instant::now() + lifetime.saturating_sub(SLACK) })
        }
        Ok(TokenAnswer::Refused { error }) => Err(TokenProblem::Refused(error.chars().take(60).collect())),
        Ok(TokenAnswer::Granted { .. }) | Err(_) => Err(TokenProblem::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_given_up_a_minute_early() {
        let token =
            parse_token(r#"{"access_token":"t","token_type":"bearer","expires_in":3600,"scope":"*"}"#);
        let Ok(token) = token else { panic!("a token") };
        tokio::time::advance(Duration::from_secs(3539)).await;
        assert!(token.is_fresh());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!token.is_fresh());
    }

    #[test]
    fn refusals_come_with_status_200_too() {
        let problem = |json| parse_token(json).err();
        assert_eq!(
            problem(r#"{"error":"invalid_grant"}"#),
            Some(TokenProblem::Refused("invalid_grant".into()))
        );
        for malformed in ["", "{", "[]", r#"{"access_token":"t"}"#, r#"{"access_token":"t","expires_in":-1}"#]
        {
            assert_eq!(problem(malformed), Some(TokenProblem::Malformed), "{malformed}");
        }
    }
}
