use std::fmt;
use std::ops::{Add, AddAssign};

use crate::LabelerError;

/// Millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MicroDollars(pub u64);

impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Tokens, and what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What both cost together.
    pub cost: MicroDollars,
}

impl Spend {
    /// Nothing.
    pub const NONE: Self = Self { input_tokens: 0, output_tokens: 0, cost: MicroDollars(0) };

    /// Tokens of prompts and answers together.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Add for Spend {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: MicroDollars(self.cost.0.saturating_add(other.cost.0)),
        }
    }
}

impl AddAssign for Spend {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What tokens cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// Of a million tokens of prompts.
    input: MicroDollars,
    /// Of a million tokens of answers.
    output: MicroDollars,
}

impl Prices {
    /// Dollars for a million tokens of prompts and of answers. Zero is a price: an endpoint of one's own.
    ///
    /// # Errors
    /// Refuses what is no price: negative, infinite, or above a million dollars.
    pub fn per_million(input_dollars: f64, output_dollars: f64) -> Result<Self, LabelerError> {
        let price = |dollars: f64| {
            if (0.0..=1e6).contains(&dollars) {
                // Rounded up: a budget may be left unspent, never passed.
                Ok(MicroDollars((dollars * 1e6).ceil() as u64))
            } else {
                Err(LabelerError::Settings(format!(
                    "{dollars} is no price; set labeler.input_price and labeler.output_price to dollars for a million tokens"
                )))
            }
        };
        Ok(Self { input: price(input_dollars)?, output: price(output_dollars)? })
    }

    /// What so many tokens cost, rounded up to a millionth of a dollar.
    pub fn of(&self, input_tokens: u64, output_tokens: u64) -> Spend {
        let exact = u128::from(input_tokens) * u128::from(self.input.0)
            + u128::from(output_tokens) * u128::from(self.output.0);
        let cost = MicroDollars(u64::try_from(exact.div_ceil(1_000_000)).unwrap_or(u64::MAX));
        Spend { input_tokens, output_tokens, cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_for_a_million_tokens() {
        let prices = Prices::per_million(0.15, 0.6).expect("prices");
        assert_eq!(prices.of(1_000_000, 0).cost, MicroDollars(150_000));
        assert_eq!(prices.of(1200, 80).cost, MicroDollars(228));
        assert_eq!(prices.of(1, 0).cost, MicroDollars(1), "rounded up");
        assert_eq!(prices.of(1_000_000, 1_000_000).cost.to_string(), "$0.750000");
        assert_eq!(Prices::per_million(0.0, 0.0).expect("free").of(99, 99).cost, MicroDollars(0));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for price in [-0.1, f64::NAN, f64::INFINITY] {
            let error = Prices::per_million(price, 1.0).expect_err("no price").to_string();
            assert!(error.contains("labeler.input_price"), "{error}");
        }
    }
}
