//! How commands reach a running collector: a Unix socket in the state directory, for its owner alone.
//!
//! One question per connection, one line of JSON each way. Only imports need it: everything else reads the files.
//! The socket is not reachable from a browser or over the network, so changing plant or project needs no sign-in.

use std::io::{self, BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shopfloor::time::Wait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::ledger::import::{ImportError, Imported, PLANT_BYTES_MAX, import};
use crate::ledger::project_import::{ImportedProject, ProjectImportError, import_project};
use crate::store::Store;

/// Longest question: a plant as a JSON text, in which every byte may be escaped.
const QUESTION_MAX: u64 = 8 * PLANT_BYTES_MAX as u64;
const PATIENCE: Duration = Duration::from_mins(1);

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Question {
    Import { file: String, text: String, dry_run: bool },
    ImportProject { file: String, text: String, dry_run: bool },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    Imported(Imported),
    Refused { message: String },
    Failed { message: String },
}

/// What is answered about a project.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum ProjectAnswer {
    Imported(ImportedProject),
    Refused { message: String },
    Failed { message: String },
}

/// Answers an import as it would be answered here.
pub(crate) fn answer_of(result: Result<Imported, ImportError>) -> Answer {
    match result {
        Ok(imported) => Answer::Imported(imported),
        Err(ImportError::Log(error)) => Answer::Failed { message: error.to_string() },
        Err(error) => Answer::Refused { message: error.to_string() },
    }
}

/// Answers an import of a project as it would be answered here.
pub(crate) fn answer_of_project(result: Result<ImportedProject, ProjectImportError>) -> ProjectAnswer {
    match result {
        Ok(imported) => ProjectAnswer::Imported(imported),
        Err(ProjectImportError::Log(error)) => ProjectAnswer::Failed { message: error.to_string() },
        Err(error) => ProjectAnswer::Refused { message: error.to_string() },
    }
}

fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// Listens until the token is cancelled. The caller holds the lock of the state directory.
pub(crate) fn listen(
    state_dir: &Path,
    store: Store,
    wait: Arc<dyn Wait>,
    token: CancellationToken,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let path = socket(state_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                () = token.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            // One after another: a second import waits for the first.
            if let Ok((stream, _)) = stream {
                match tokio::time::timeout(PATIENCE, answer(stream, &store, &wait)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "a command hung up"),
                    Err(_) => tracing::warn!("a command took too long"),
                }
            }
        }
        drop(std::fs::remove_file(&path));
    }))
}

async fn answer(mut stream: UnixStream, store: &Store, wait: &Arc<dyn Wait>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(QUESTION_MAX)).read_line(&mut line).await?;
    let (store, now) = (store.clone(), wait.now());
    let mut line = match serde_json::from_str(&line) {
        Ok(Question::Import { file, text, dry_run }) => {
            let done = tokio::task::spawn_blocking(move || answer_of(import(&store, &text, &file, now, dry_run)));
            let answer = done.await.unwrap_or_else(|error| Answer::Failed { message: error.to_string() });
            serde_json::to_string(&answer)
        }
        Ok(Question::ImportProject { file, text, dry_run }) => {
            let import = move || answer_of_project(import_project(&store, &text, &file, now, dry_run));
            let done = tokio::task::spawn_blocking(import);
            let answer = done.await.unwrap_or_else(|error| ProjectAnswer::Failed { message: error.to_string() });
            serde_json::to_string(&answer)
        }
        Err(error) => {
            serde_json::to_string(&Answer::Refused { message: format!("question is not understood: {error}") })
        }
    }
    .map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await
}

/// Asks a running collector to import. Errors: it does not answer.
pub(crate) fn ask_import(state_dir: &Path, file: &str, text: &str, dry_run: bool) -> io::Result<Answer> {
    ask(state_dir, &Question::Import { file: file.to_owned(), text: text.to_owned(), dry_run })
}

/// Asks a running collector to import a project. Errors: it does not answer.
pub(crate) fn ask_import_project(state_dir: &Path, file: &str, text: &str, dry_run: bool) -> io::Result<ProjectAnswer> {
    ask(state_dir, &Question::ImportProject { file: file.to_owned(), text: text.to_owned(), dry_run })
}

fn ask<T: DeserializeOwned>(state_dir: &Path, question: &Question) -> io::Result<T> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket(state_dir))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(question).map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    io::BufReader::new(stream).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
