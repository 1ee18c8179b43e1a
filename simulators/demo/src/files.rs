//! The files of a demo: a collector's configuration, private key seeds, the place where they lie.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::wire::sign::PublicKey;

/// What a collector of the demo is told.
#[derive(Debug, Clone)]
pub struct CollectorFile<'a> {
    /// Its folder.
    pub state_dir: &'a Path,
    /// URL of an external broker; the embedded one on a free port if there is none.
    pub broker: Option<&'a str>,
    /// Where pages and API are served.
    pub http: SocketAddr,
    /// The agents that may send, and their keys.
    pub agents: &'a [(SiteId, AgentId, PublicKey)],
}

/// The collector's configuration as text.
pub fn collector_toml(file: &CollectorFile<'_>) -> String {
    let broker = file
        .broker
        .map_or_else(|| "embedded = true\nlisten = \"127.0.0.1:0\"".to_owned(), |url| format!("url = {url:?}"));
    let mut text = format!(
        "schema = 1\n\n[collector]\nstate_dir = {:?}\nname = \"plumbline-demo\"\n\n[broker]\n{broker}\n\n\
         [http]\nlisten = \"{}\"\n",
        file.state_dir.display().to_string(),
        file.http
    );
    for (site, agent, key) in file.agents {
        write!(text, "\n[[agent]]\nsite = \"{site}\"\nid = \"{agent}\"\npublic_key = \"{key}\"\nepoch = 1\n")
            .expect("a String takes any text");
    }
    text
}

/// Lets only the owner read a file, as a key asks for.
pub fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("make {} readable by its owner alone", path.display()))
}
