//! Which items to have labeled: stratified over community and score, with extra weight where the model is
//! unsure and where drift was seen; near-duplicates dropped; a hash-chosen gold share set aside.

mod allocation;
mod gold;
mod near_duplicates;
mod sample;
mod stratum;

pub use allocation::allocate;
pub use gold::{GoldShare, GoldShareError};
pub use near_duplicates::NearDuplicates;
pub use sample::{Candidate, Chosen, Plan, sample};
pub use stratum::{Band, Stratum};
