//! The file of the gate's own keys: JSON of version 1, replaced as a whole, for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use toolgate_protocol::key_text;
use tracing::warn;
use zeroize::{Zeroize as _, Zeroizing};

use super::ring::{Held, Origin, Ring};
use crate::config::settings::SealKey;

const VERSION: u32 = 1;
const NAME: &str = "seal.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    keys: Vec<KeptKey>,
}

#[derive(Serialize, Deserialize)]
struct KeptKey {
    key: String,
    made_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at_ms: Option<u64>,
}

impl Drop for KeptKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// The keys that the last process left. What cannot be read is set aside, so that it is neither lost nor in the way.
pub(super) fn load(folder: &Path) -> io::Result<Vec<Held>> {
    let path = folder.join(NAME);
    let text = match fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    match read(&text) {
        Ok(keys) => Ok(keys),
        Err(why) => {
            let aside = set_aside(&path)?;
            warn!(
                file = %path.display(), aside = %aside.display(),
                "the sealing keys cannot be read: {why}; what they have sealed does not open any more"
            );
            Ok(Vec::new())
        }
    }
}

fn read(text: &[u8]) -> Result<Vec<Held>, String> {
    // The parser's own words could repeat a part of a key.
    let kept: Kept = serde_json::from_slice(text).map_err(|_| "it is not what this daemon writes".to_owned())?;
    if kept.version != VERSION {
        return Err(format!("it is of version {}, and this daemon knows {VERSION}", kept.version));
    }
    let held = |key: &KeptKey| {
        let bytes = key_text::read(&key.key).ok_or("a key in it is damaged")?;
        Ok(Held::new(SealKey::new(bytes), Origin::Own, key.made_at_ms, key.retired_at_ms))
    };
    kept.keys.iter().map(held).collect()
}

/// Keeps the gate's own keys; when it returns, the disk has them.
pub(super) fn save(folder: &Path, ring: &Ring) -> io::Result<()> {
    let key = |held: &Held| KeptKey {
        key: STANDARD.encode(held.key.expose()),
        made_at_ms: held.made_ms,
        retired_at_ms: held.retired_ms,
    };
    let keys = ring.all().filter(|held| held.origin == Origin::Own).map(key).collect();
    let text = Zeroizing::new(serde_json::to_vec(&Kept { version: VERSION, keys }).map_err(io::Error::other)?);
    let path = folder.join(NAME);
    let new = folder.join(format!(".{NAME}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}

/// Renames a file to the first name of its kind that is free.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..).map(|number| path.with_extension(format!("json.aside-{number}")));
    let aside = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| path.with_extension("json.aside"));
    fs::rename(path, &aside)?;
    Ok(aside)
}
