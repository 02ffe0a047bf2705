//! The file with this rover's DTLS certificate and key: made once, so that peers can pin it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::link::{Certificate, generate_certificate};

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("identity_file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the key.
    #[error(
        "identity_file {path}: others than its owner may use it (mode {mode:03o}); run `chmod 600 {path}`"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold what it should.
    #[error("identity_file {path}: {what}; remove the file to have a new identity made")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No key could be made.
    #[error("no certificate could be made: the system gives no random numbers")]
    Generate,
}

/// Reads the identity, or makes one where there is no file yet.
///
/// # Errors
/// [`IdentityError`], with the path and the remedy.
pub fn load_or_create(path: &Path) -> Result<Certificate, IdentityError> {
    load(path)?.map_or_else(|| create(path), Ok)
}

/// Reads the identity; `None` where there is no file yet.
///
/// # Errors
/// As [`load_or_create`].
pub(super) fn load(path: &Path) -> Result<Option<Certificate>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            check_permissions(path)?;
            let content = |what| IdentityError::Content { path: path.to_owned(), what };
            parse(&text).map(Some).map_err(content)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, source)),
    }
}

fn check_permissions(path: &Path) -> Result<(), IdentityError> {
    let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(IdentityError::Permissions { path: path.to_owned(), mode })
}

fn parse(text: &str) -> Result<Certificate, String> {
    let blocks = pem::parse_many(text).map_err(|error| error.to_string())?;
    let block = |tag: &str| {
        let found = blocks.iter().find(|block| block.tag() == tag);
        found.map(|block| block.contents().to_vec()).ok_or_else(|| format!("no {tag} in it"))
    };
    Ok(Certificate { certificate: block(CERTIFICATE)?, private_key: block(PRIVATE_KEY)? })
}

/// Writes beside the file and renames: a full disk or a second node leaves no half identity.
fn create(path: &Path) -> Result<Certificate, IdentityError> {
    let made = generate_certificate().ok_or(IdentityError::Generate)?;
    let text = pem::encode_many(&[
        pem::Pem::new(CERTIFICATE, made.certificate.clone()),
        pem::Pem::new(PRIVATE_KEY, made.private_key.clone()),
    ]);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(source) = written {
        // What is left beside it is of no use; that it is there matters to nobody.
        drop(fs::remove_file(&beside));
        return Err(io_error(path, source));
    }
    log::info!("identity made: file={}", path.display());
    Ok(made)
}

fn io_error(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/rover.pem");
        let made = load_or_create(&path).unwrap();
        let again = load_or_create(&path).unwrap();
        assert_eq!(made.certificate, again.certificate);
        assert_eq!(made.private_key, again.private_key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_identity_that_others_may_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rover.pem");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_identity_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rover.pem");
        for text in
            ["", "garbage", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load_or_create(&path), Err(IdentityError::Content { .. })), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
