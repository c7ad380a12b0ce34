//! The right to do something alone, as rows with an end. Unlike a lock of a session, a lease works behind a
//! pooler in transaction mode.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::{Store, StoreError};

const TAKE: &str = "
    insert into leases as l (name, holder, until) values ($1, $2, now() + make_interval(secs => $3))
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where l.until <= now() or l.holder = excluded.holder";

impl Store {
    /// Takes or renews a lease. `false`: somebody else holds it. The holder's name must be its own, such as a
    /// process's random number.
    pub async fn take_lease(&self, name: &str, holder: &str, length: Duration) -> Result<bool, StoreError> {
        let parameters = [
            (&name as _, Type::TEXT),
            (&holder as _, Type::TEXT),
            (&length.as_secs_f64() as _, Type::FLOAT8),
        ];
        Ok(self.change("taking a lease", TAKE, &parameters).await? > 0)
    }

    /// Gives a lease back, if it is still this holder's.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let sql = "delete from leases where name = $1 and holder = $2";
        let parameters = [(&name as _, Type::TEXT), (&holder as _, Type::TEXT)];
        self.change("giving a lease back", sql, &parameters).await.map(drop)
    }
}
