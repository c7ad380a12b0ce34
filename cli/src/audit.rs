//! `modloop audit`: who changed what.

use anyhow::Result;
use clap::Args;
use modloop_store::audit::AuditEntry;
use serde_json::Value;

use crate::database::DatabaseArgs;
use crate::status::one_line;
use crate::table::table;

/// Show who changed what, newest first. Entries cannot be changed or deleted.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only about this, such as r/rust, run:7 or setting:gate.
    #[arg(long)]
    subject: Option<String>,
    /// Show at most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Prints them once.
pub async fn run(args: AuditArgs) -> Result<()> {
    let entries = args.database.connect().await?.audit(args.subject.as_deref(), args.limit).await?;
    args.database.print(&entries, || list(&entries))
}

/// One line an entry.
pub fn list(entries: &[AuditEntry]) -> String {
    if entries.is_empty() {
        return "Nothing was changed yet.".to_owned();
    }
    let mut table = table(&["when", "actor", "action", "subject", "change"]);
    for entry in entries {
        table.add_row([
            entry.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            one_line(&entry.actor),
            entry.action.clone(),
            one_line(&entry.subject),
            change(entry.before.as_ref(), entry.after.as_ref()),
        ]);
    }
    table.to_string()
}

/// Only the fields that differ.
fn change(before: Option<&Value>, after: Option<&Value>) -> String {
    let (Some(Value::Object(after)), before) = (after, before.and_then(Value::as_object)) else {
        return String::new();
    };
    let fields = after.iter().filter_map(|(name, new)| {
        let old = before.and_then(|before| before.get(name));
        match old {
            Some(old) if old == new => None,
            Some(old) => Some(format!("{name}: {old} → {new}")),
            None => Some(format!("{name}: {new}")),
        }
    });
    one_line(&fields.collect::<Vec<_>>().join(", "))
}
