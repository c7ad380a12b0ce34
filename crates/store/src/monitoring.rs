//! What the monitor asks of the store.

use crate::Store;

impl Store {}
