//! The demonstration's folder: made fresh, and cleared of nothing but what was made here.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// Lists what was made, one path a line; its presence marks an earlier demonstration.
const LIST: &str = ".demo";
/// What the worker makes in its home. Logs and company are added as they are written.
const HOME_FILES: [&str; 4] = ["keys.json", "main.db", "main.db-shm", "main.db-wal"];
/// Lines of the list that are believed; a demonstration makes far fewer files.
const MAX_LISTED: usize = 10_000;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It holds an earlier demonstration, and `--force` was not given.
    #[error(
        "{0} holds an earlier demo; go on with it there, or make it anew: the same command with --force"
    )]
    EarlierDemo(String),
    /// It holds something else.
    #[error("{0} is not empty and holds no earlier demo; name another folder with --folder")]
    NotEmpty(String),
    /// A link would lead out of it.
    #[error("{0} is a link; remove it, or name another folder with --folder")]
    Link(String),
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// A folder that a demonstration may fill.
#[derive(Debug)]
pub struct DemoFolder {
    path: PathBuf,
    list: fs::File,
}

impl DemoFolder {
    /// Makes the folder; with `force`, what an earlier demonstration made is removed before.
    ///
    /// # Errors
    /// [`FolderError::EarlierDemo`] and [`FolderError::NotEmpty`] leave everything as it is.
    pub fn prepare(path: &Path, force: bool) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(failed("make", path))?;
        let list = path.join(LIST);
        if list.is_symlink() {
            return Err(FolderError::Link(list.display().to_string()));
        }
        let shown = path.display().to_string();
        match (list.exists(), force) {
            (true, false) => return Err(FolderError::EarlierDemo(shown)),
            // What else lies there is the user's and stays.
            (true, true) => remove_listed(path)?,
            (false, _) if !is_empty(path)? => return Err(FolderError::NotEmpty(shown)),
            (false, _) => {}
        }
        let file = fs::File::create(&list).map_err(failed("write", &list))?;
        let mut folder = Self { path: path.to_owned(), list: file };
        for name in HOME_FILES {
            folder.note(&Path::new(crate::home::DEFAULT_FOLDER).join(name))?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file with its folders, listed before it is made; what is there already stays.
    pub fn create(&mut self, name: &Path) -> Result<fs::File, FolderError> {
        self.note(name)?;
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
        }
        fs::File::create_new(&path).map_err(failed("make", &path))
    }

    /// Lists a file that another makes, so that it goes with the demonstration.
    pub fn note(&mut self, name: &Path) -> Result<(), FolderError> {
        leads_nowhere(&self.path, name)?;
        writeln!(self.list, "{}", name.display()).map_err(failed("write", &self.path.join(LIST)))
    }
}

/// Refuses a name one of whose folders is a link.
fn leads_nowhere(path: &Path, name: &Path) -> Result<(), FolderError> {
    for folder in name.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
        let folder = path.join(folder);
        if folder.is_symlink() {
            return Err(FolderError::Link(folder.display().to_string()));
        }
    }
    Ok(())
}

fn is_empty(path: &Path) -> Result<bool, FolderError> {
    Ok(fs::read_dir(path).map_err(failed("read", path))?.next().is_none())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.display().to_string();
    move |cause| FolderError::Io { action, path, cause }
}

/// Removes the listed files and the folders that are empty then.
fn remove_listed(path: &Path) -> Result<(), FolderError> {
    let list = path.join(LIST);
    let text = fs::read_to_string(&list).map_err(failed("read", &list))?;
    let inside = |name: &&Path| {
        name.components().all(|part| matches!(part, Component::Normal(_)))
            && name.components().next().is_some()
    };
    let names = || text.lines().take(MAX_LISTED).map(Path::new).filter(inside);
    for name in names() {
        leads_nowhere(path, name)?;
    }
    for name in names() {
        let file = path.join(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &file)(error));
            }
            _ => {}
        }
        for folder in name.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            if fs::remove_dir(path.join(folder)).is_err() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn force_removes_what_was_made_and_nothing_else() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("demo");
        let mut folder = DemoFolder::prepare(&path, false).unwrap();
        folder.create(Path::new("logs/a/1.gz")).unwrap();
        folder.create(Path::new("worker.toml")).unwrap();
        fs::write(path.join("logs/own.txt"), "mine").unwrap();
        fs::write(outer.path().join("outside"), "mine").unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(path.join(LIST))
            .unwrap()
            .write_all(b"../outside\n/etc/hostname\n\n")
            .unwrap();
        let refused = DemoFolder::prepare(&path, false).unwrap_err();
        assert!(matches!(refused, FolderError::EarlierDemo(_)), "{refused}");
        assert!(path.join("logs/a/1.gz").exists());
        DemoFolder::prepare(&path, true).unwrap();
        assert!(!path.join("logs/a").exists() && !path.join("worker.toml").exists());
        assert!(path.join("logs/own.txt").exists() && outer.path().join("outside").exists());
    }

    #[test]
    fn force_follows_no_link() {
        for (link, file) in [("logs", "a/1.gz"), (".main-worker", "keys.json")] {
            let outer = tempfile::tempdir().unwrap();
            let (path, own) = (outer.path().join("demo"), outer.path().join("own"));
            let mut folder = DemoFolder::prepare(&path, false).unwrap();
            folder.create(Path::new("logs/a/1.gz")).unwrap();
            fs::create_dir_all(own.join("a")).unwrap();
            fs::write(own.join(file), "mine").unwrap();
            fs::remove_dir_all(path.join(link)).ok();
            std::os::unix::fs::symlink(&own, path.join(link)).unwrap();
            let refused = DemoFolder::prepare(&path, true).unwrap_err();
            assert!(matches!(refused, FolderError::Link(_)), "{link}: {refused}");
            assert_eq!(fs::read(own.join(file)).unwrap(), b"mine");
        }
    }

    #[test]
    fn a_list_that_is_a_link_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        fs::write(&own, "mine").unwrap();
        std::os::unix::fs::symlink(&own, folder.path().join(LIST)).unwrap();
        let refused = DemoFolder::prepare(folder.path(), true).unwrap_err();
        assert!(matches!(refused, FolderError::Link(_)), "{refused}");
        assert_eq!(fs::read(&own).unwrap(), b"mine");
    }

    #[test]
    fn overwrites_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("demo");
        let mut folder = DemoFolder::prepare(&path, false).unwrap();
        fs::write(path.join("worker.toml"), "mine").unwrap();
        folder.create(Path::new("worker.toml")).unwrap_err();
        assert_eq!(fs::read(path.join("worker.toml")).unwrap(), b"mine");
    }

    #[test]
    fn takes_no_folder_that_holds_something_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        for force in [false, true] {
            let refused = DemoFolder::prepare(folder.path(), force).unwrap_err();
            assert!(matches!(refused, FolderError::NotEmpty(_)), "{refused}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
