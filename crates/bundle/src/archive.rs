use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

use crate::{Bundle, BundleError, files};

/// More than any bundle unpacks to: an archive that claims more is refused before it fills the disk.
const MAX_BYTES: u64 = 2 << 30;

/// Writes a bundle as `tar.gz`, the same bytes for the same bundle.
pub fn pack(bundle: &Bundle, archive: &Path) -> Result<(), BundleError> {
    let file = File::create(archive).map_err(BundleError::io("write", archive))?;
    let gzip = GzEncoder::new(BufWriter::new(file), Compression::default());
    let mut tar = Builder::new(gzip);
    let names = bundle.manifest().files.keys().map(String::as_str);
    for name in std::iter::once(files::MANIFEST).chain(names) {
        append(&mut tar, &bundle.path(name), name)?;
    }
    finish(tar).map_err(BundleError::io("write", archive))
}

fn finish(tar: Builder<GzEncoder<impl Write>>) -> std::io::Result<()> {
    tar.into_inner()?.finish()?.flush()
}

fn append(tar: &mut Builder<impl Write>, path: &Path, name: &str) -> Result<(), BundleError> {
    let file = File::open(path).map_err(BundleError::io("read", path))?;
    let bytes = file.metadata().map_err(BundleError::io("read", path))?.len();
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, file).map_err(BundleError::io("pack", path))
}

/// Unpacks a bundle's `tar.gz` into the folder `dest` and opens it.
///
/// Archives come from outside: only plain files directly in the archive's root are taken (a leading
/// `./` is tolerated), no links, no paths. `dest` must not exist yet.
pub fn unpack(archive: &Path, dest: &Path) -> Result<Bundle, BundleError> {
    let file = File::open(archive).map_err(BundleError::io("read", archive))?;
    fs::create_dir(dest).map_err(BundleError::io("create", dest))?;
    let unpacked = extract(archive, BufReader::new(file), dest).and_then(|()| Bundle::open(dest));
    if unpacked.is_err() {
        // Half a bundle helps nobody, and the folder would stand in the way of the next try.
        fs::remove_dir_all(dest).map_err(BundleError::io("remove", dest))?;
    }
    unpacked
}

fn extract(archive: &Path, reader: impl Read, dest: &Path) -> Result<(), BundleError> {
    let broken = |e: std::io::Error| {
        BundleError::invalid(archive, format!("is no whole tar.gz: {e}; download the bundle again"))
    };
    let mut tar = Archive::new(GzDecoder::new(reader).take(MAX_BYTES));
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(name) = plain_name(&path).filter(|_| entry.header().entry_type() == EntryType::Regular)
        else {
            let problem = format!("holds {}, which is no plain file; refused", path.display());
            return Err(BundleError::invalid(archive, problem));
        };
        let target = dest.join(name);
        let mut out = File::create_new(&target).map_err(BundleError::io("write", &target))?;
        std::io::copy(&mut entry, &mut out).map_err(broken)?;
    }
    Ok(())
}

/// The file name of a path that has nothing else in it.
fn plain_name(path: &Path) -> Option<&str> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) => name.to_str(),
        _ => None,
    }
}
