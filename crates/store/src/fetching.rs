//! What fetch asks of the store.

use crate::Store;

impl Store {}
