use std::error::Error;

use tokio_postgres::error::{DbError, SqlState};

/// Why the store could not do what it was asked.
///
/// No variant keeps Postgres's own error: its detail may quote a whole row, and with it someone's text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection: the server is down, starting, full, or the network is in the way. Try again.
    #[error(
        "Postgres at {address} cannot be reached: {reason}; check that it runs and that the network lets this machine in"
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the attempt ended with.
        reason: String,
    },
    /// The server answered but no encrypted connection came about.
    #[error(
        "no verified TLS connection to Postgres at {address}: {reason}; connect by the host name in the server's certificate, which an RDS authority must have signed"
    )]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong with the certificate or the handshake.
        reason: String,
    },
    /// Wrong user name or password.
    #[error("Postgres at {address} does not let {user:?} in: {reason}; check the user name and password")]
    Refused {
        /// Host and port.
        address: String,
        /// The user name that was tried.
        user: String,
        /// What Postgres said.
        reason: String,
    },
    /// The server has no such database.
    #[error("Postgres at {address} has no database {database:?}; create it, or correct the database name")]
    DatabaseMissing {
        /// Host and port.
        address: String,
        /// The database that was asked for.
        database: String,
    },
    /// The server is older than what this code was written for.
    #[error("Postgres at {address} is version {found}, and Modloop needs 14 or newer; upgrade the server")]
    ServerTooOld {
        /// Host and port.
        address: String,
        /// What the server calls itself.
        found: String,
    },
    /// The migrations of this release have not run yet.
    #[error(
        "the database schema is {}, and this release needs version {needed}; run the migrate function (on a laptop: `cargo xtask up`)",
        found.map_or("missing".to_owned(), |v| format!("at version {v}"))
    )]
    SchemaTooOld {
        /// The newest migration that ran, `None` in an empty database.
        found: Option<i32>,
        /// The newest migration this code knows.
        needed: i32,
    },
    /// The schema is one of a version before the first release.
    #[error(
        "the database was made by a pre-release of Modloop, and its data cannot be carried over; start with an empty database (on a laptop: `cargo xtask up --fresh`)"
    )]
    PreRelease,
    /// A statement failed.
    #[error("{doing} failed: {reason}")]
    Query {
        /// What was being done, such as "reading items to score".
        doing: &'static str,
        /// What Postgres said.
        reason: String,
        /// The same statement may succeed later: the connection was lost, a lock or a time limit was in the way.
        retryable: bool,
    },
    /// A row says something this code has no type for.
    #[error("the database holds {what}; this should not be possible, so please report it")]
    Corrupt {
        /// The row and what is wrong with it.
        what: String,
    },
    /// A model version names one model for good, and this one differs from what is registered.
    #[error("model {version} is registered with another {differs}; give the new bundle a version of its own")]
    ModelDiffers {
        /// The version that is taken.
        version: String,
        /// What differs: labels or baseline.
        differs: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Unreachable { .. } => true,
            StoreError::Query { retryable, .. } => *retryable,
            _ => false,
        }
    }

    /// For `map_err`: a failed statement, with the words for what it was to do.
    pub(crate) fn query(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
        move |error| StoreError::Query { doing, reason: reason(&error), retryable: may_pass(&error) }
    }

    /// A row that breaks a rule of the domain types.
    pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { what: what.into() }
    }
}

/// The error in one line. Of what Postgres says only message, code and constraint are taken: the detail
/// may quote a row.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    if let Some(db) = error.downcast_ref::<DbError>() {
        let constraint = db.constraint().map(|c| format!(", constraint {c}")).unwrap_or_default();
        return format!("{} (SQLSTATE {}{constraint})", db.message(), db.code().code());
    }
    match error.source() {
        Some(source) if error.to_string() == "db error" => reason(source),
        Some(source) => format!("{error}: {}", reason(source)),
        None => error.to_string(),
    }
}

/// Whether the server or the connection was at fault rather than the statement.
pub(crate) fn may_pass(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            let class = &code.code()[..2];
            // Connection exceptions, insufficient resources, operator intervention (shutdown, statement
            // timeout), transaction rollback (deadlock, serialisation).
            ["08", "53", "57", "40"].contains(&class)
                || [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code)
        }
        None => error.is_closed() || has_io_source(error),
    }
}

fn has_io_source(error: &(dyn Error + 'static)) -> bool {
    error.is::<std::io::Error>() || error.source().is_some_and(has_io_source)
}
