use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// RDS signs with its own authorities, which no system's or browser's list holds.
const AUTHORITIES: &[u8] = include_bytes!("../certs/rds-global-bundle.pem");

/// Verifies certificate and host name against the RDS authorities.
pub(crate) fn connector() -> Result<MakeRustlsConnect, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities())
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(AUTHORITIES).filter_map(Result::ok));
    roots
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_embedded_authority_is_usable() {
        let in_the_file = String::from_utf8_lossy(super::AUTHORITIES).matches("BEGIN CERTIFICATE").count();
        assert_eq!(super::authorities().len(), in_the_file);
        assert!(in_the_file > 80, "{in_the_file}");
    }
}
