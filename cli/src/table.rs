use comfy_table::{Table, presets};

/// Columns that line up, without lines between them.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    table.set_header(header.to_vec());
    table
}
