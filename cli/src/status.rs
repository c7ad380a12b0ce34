//! `modloop status`: the system at one moment, for people or as JSON.

use std::fmt::Write as _;

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use modloop_environment::optional;
use modloop_store::status::{CommunityStatus, LastReport, ModelInService, ModelMode, Status};

use crate::database::DatabaseArgs;

/// Where `cargo xtask up` notes the address of its database, below its folder.
pub const DATABASE_NOTE: &str = "runs/up/database-url";

/// Show items fetched, waiting, scored and flagged, the model in service, and the last drift verdicts.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Prints the status once.
pub async fn run(args: StatusArgs) -> Result<()> {
    let status = args.database.connect().await?.status().await?;
    let coloured = std::io::IsTerminal::is_terminal(&std::io::stdout()) && optional("NO_COLOR")?.is_none();
    args.database.print(&status, || render(&status, Utc::now(), coloured))
}

/// The status as text, with colours where they help.
pub fn render(status: &Status, now: DateTime<Utc>, coloured: bool) -> String {
    let mut text = format!("{}\n", communities(&status.communities, now, coloured));
    for community in status.communities.iter().filter(|c| c.last_error.is_some()) {
        let reason = community.last_error.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {}: {}", community.name, one_line(reason));
    }
    match &status.model {
        Some(model) => {
            let _ = writeln!(text, "\nModel   {}", model_line(model, now));
        }
        None => text.push_str("\nModel   none yet: inference has not started\n"),
    }
    if let Some(challenger) = &status.challenger {
        let _ = writeln!(text, "        {}", model_line(challenger, now));
    }
    drift(&mut text, &status.drift, now);
    text
}

fn communities(rows: &[CommunityStatus], now: DateTime<Utc>, coloured: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !coloured {
        table.force_no_tty();
    } else {
        table.enforce_styling();
    }
    table.set_header([
        Cell::new("community"),
        number("fetched"),
        number("waiting"),
        number("scored"),
        number("deleted"),
        number("flagged"),
        number("stuck"),
        Cell::new("last fetch"),
    ]);
    for row in rows {
        let broken = row.last_error.is_some();
        let mut name = Cell::new(row.name.to_string());
        if broken {
            name = name.fg(Color::Red);
        }
        let fetched = match (row.enabled, row.last_fetched_at) {
            (false, _) => "disabled".to_owned(),
            (true, Some(at)) => ago(now, at),
            (true, None) => "never".to_owned(),
        };
        let stuck = if row.stuck > 0 { number(row.stuck).fg(Color::Red) } else { number(row.stuck) };
        table.add_row([
            name,
            number(row.fetched),
            number(row.waiting),
            number(row.scored),
            number(row.deleted),
            number(row.flagged),
            stuck,
            Cell::new(fetched),
        ]);
    }
    table
}

fn number(value: impl ToString) -> Cell {
    Cell::new(value.to_string()).set_alignment(CellAlignment::Right)
}

fn model_line(model: &ModelInService, now: DateTime<Utc>) -> String {
    let mode = match model.mode {
        ModelMode::Shipped => "ships with the function",
        ModelMode::Champion => "champion",
        ModelMode::Shadow => "challenger, scores without deciding",
        ModelMode::Canary => "challenger, decides for a share",
    };
    format!("{} ({mode}), since {}", model.version, ago(now, model.since))
}

fn drift(text: &mut String, verdicts: &[LastReport], now: DateTime<Utc>) {
    if verdicts.is_empty() {
        text.push_str("Drift   not judged yet\n");
    }
    for (index, verdict) in verdicts.iter().enumerate() {
        let head = if index == 0 { "Drift" } else { "" };
        let _ = writeln!(
            text,
            "{head:<8}{}: {} ({}, window ended {})",
            verdict.community,
            verdict.verdict,
            one_line(&verdict.summary),
            ago(now, verdict.window_end)
        );
    }
}

/// Text that came from elsewhere must not move the cursor or fill the screen.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect()
}

/// A moment as people say it.
pub(crate) fn ago(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds().max(0);
    match seconds {
        0..=1 => "just now".to_owned(),
        2..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modloop_domain::DriftVerdict;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a moment")
    }

    fn status() -> Status {
        Status {
            communities: vec![
                CommunityStatus {
                    name: "city_talk".parse().expect("a name"),
                    enabled: true,
                    fetched: 1204,
                    waiting: 3,
                    scored: 1190,
                    deleted: 11,
                    flagged: 17,
                    stuck: 0,
                    last_fetched_at: Some(at(-30)),
                    last_error: None,
                },
                CommunityStatus {
                    name: "locked".parse().expect("a name"),
                    enabled: true,
                    fetched: 0,
                    waiting: 0,
                    scored: 0,
                    deleted: 0,
                    flagged: 0,
                    stuck: 0,
                    last_fetched_at: None,
                    last_error: Some("private\u{1b}[2J".into()),
                },
            ],
            model: Some(ModelInService {
                version: "2026-11-22.1".parse().expect("a version"),
                mode: ModelMode::Shipped,
                since: at(-7300),
            }),
            challenger: None,
            drift: vec![LastReport {
                community: "city_talk".parse().expect("a name"),
                verdict: DriftVerdict::Stable,
                summary: "largest: PSI of hate .04".into(),
                window_end: at(-300),
            }],
        }
    }

    #[test]
    fn the_table_lines_up_and_tells_what_matters() {
        insta::assert_snapshot!(render(&status(), at(0), false));
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert!(!render(&status(), at(0), false).contains('\u{1b}'));
    }
}
