//! The folder that the CDN runs from: its configuration, netcinema's zone and site, the logs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// The demo's configuration and the file that it names, as they stand in `config/`.
const CONFIG: (&str, &str) = ("demo.toml", include_str!("../../config/demo.toml"));
const ZONE: (&str, &str) = ("netcinema.zone", include_str!("../../config/netcinema.zone"));
/// `root` of the demo's `[origin]`.
const SITE: &str = "netcinema";
const LOGS: &str = "logs";

/// The run folder. A temporary one is removed when dropped.
pub(super) struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Folder {
    /// Writes everything into `kept`, or into a temporary folder. A configuration or a zone that is
    /// in `kept` already stays as it is: whoever changed it wants to see what it does.
    pub(super) fn prepare(kept: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match kept {
            Some(path) => Self { path: path.to_owned(), temporary: None },
            None => {
                let temporary = tempfile::Builder::new().prefix("kingcdn-").tempdir();
                let temporary = temporary.context("can't make a temporary folder; try --dir")?;
                Self { path: temporary.path().to_owned(), temporary: Some(temporary) }
            }
        };
        folder.fill().with_context(|| format!("can't write to {}", folder.path.display()))?;
        Ok(folder)
    }

    fn fill(&self) -> std::io::Result<()> {
        fs::create_dir_all(self.path.join(LOGS))?;
        for (name, text) in [CONFIG, ZONE] {
            let path = self.path.join(name);
            if !path.exists() {
                fs::write(path, text)?;
            }
        }
        kingcdn_origin::sample::write_to(&self.path.join(SITE))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join(CONFIG.0)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path.join(LOGS).join(format!("{name}.log"))
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}
