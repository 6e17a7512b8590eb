//! `main-worker emails preview`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use values::Clock;

use crate::app::read_manifest;
use crate::cli::{Exit, Invocation};
use crate::clock::SystemClock;

/// The job whose settings say how mails look.
const JOB: &str = "emails/deliver_email";

/// Which mails to write, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The mail, such as `monthly_invoice`; all when absent
    name: Option<String>,
    /// Where the files go
    #[arg(long, value_name = "FOLDER", default_value = "mail-previews")]
    folder: PathBuf,
}

pub(super) fn execute(invocation: &Invocation, arguments: &Arguments) -> Result<Exit> {
    let Arguments { name, folder } = arguments;
    let (manifest, _) = read_manifest(&invocation.settings, &invocation.program)
        .map_err(|error| error.context(Exit::Settings))?;
    let settings = manifest.jobs.iter().find(|(job, _)| job.as_str() == JOB);
    let settings = settings.map(|(_, row)| row.settings.clone()).unwrap_or_default();
    let templates = jobs::MailTemplates::read(&settings)
        .map_err(|problem| anyhow!("settings of {JOB}: {problem}").context(Exit::Settings))?;
    let previews = jobs::preview_mails(&templates, name.as_deref(), SystemClock.now())
        .map_err(|problem| anyhow!(problem).context(Exit::Usage))?;
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
        .map_err(|error| error.context(Exit::Usage))?;
    for preview in &previews {
        for (ending, content) in [
            ("html", preview.html.as_bytes()),
            ("txt", preview.text.as_bytes()),
            ("eml", &*preview.eml),
            ("json", preview.fields.as_bytes()),
        ] {
            let path = folder.join(format!("{}.{ending}", preview.file));
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let output = invocation.output;
    if output.is_json() {
        let mails = previews.iter().map(|one| json!({ "file": one.file, "subject": one.subject }));
        output.json(&json!({ "folder": folder, "mails": mails.collect::<Vec<_>>() }));
    } else {
        let row = |one: &jobs::MailPreview| vec![one.file.clone(), one.subject.clone()];
        output.table(&["MAIL", "SUBJECT"], &previews.iter().map(row).collect::<Vec<_>>());
        output.line(&format!(
            "each is a .html, a .txt, an .eml, and a .json with the fields of its template in {}",
            folder.display()
        ));
    }
    Ok(Exit::Completed)
}
