//! Labeling over real HTTP, against a stand-in that behaves like the endpoint it stands for.

mod budget;
mod faults;
mod ledger;
mod orders;
mod pace;
mod rig;
mod secrecy;
mod verdicts;
