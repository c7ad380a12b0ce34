//! Loopback ports that stay the same from one start to the next, so that addresses people noted go on working.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};

/// The port noted in `file` when it is free, else a free one, noted there.
pub(crate) fn stable_port(file: &Path) -> Result<u16> {
    let noted = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(port) = noted.filter(|port| is_free(*port)) {
        return Ok(port);
    }
    let port = free_port()?;
    std::fs::write(file, port.to_string()).with_context(|| format!("write {}", file.display()))?;
    Ok(port)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_kept_while_it_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("port");
        let first = stable_port(&file).expect("a port");
        assert_eq!(stable_port(&file).expect("a port"), first);

        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("take it");
        let second = stable_port(&file).expect("a port");
        assert_ne!(second, first);
    }
}
