//! `inetd2tcp [ options ] source ...`: makes folders for a supervisor of what other super-servers were told.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ucspi_tcp::cli::{self, Arguments, CommandLine, During, Error, FAILED, Opt, Voice, group};
use ucspi_tcp::import::{self, Import, Service, Source, Style, Tree};
use ucspi_tcp::sys::fd;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "inetd2tcp",
    synopsis: "[ -d folder ] source ...",
    purpose: "turn inetd.conf, xinetd.conf, hosts.allow and others into services of tcpserver",
};

/// What the command line says besides the sources.
#[derive(Default)]
struct Config {
    folder: Option<Vec<u8>>,
    style: Style,
    logs: Option<Vec<u8>>,
}

const OPTIONS: &[Opt<Config>] = &[
    Opt::value(
        "d",
        "folder",
        "write a folder for each service into this one",
        |config, value| {
            config.folder = Some(value.bytes());
            Ok(())
        },
    ),
    Opt::value(
        "style",
        "supervisor",
        "daemontools, runit, s6, systemd or openrc (default daemontools)",
        |config, value| {
            let needed = "daemontools, runit, s6, systemd or openrc";
            config.style = value.parse(needed, Style::named)?;
            Ok(())
        },
    ),
    Opt::value(
        "logs",
        "command",
        "let log/run read the log by this command of the shell",
        |config, value| {
            config.logs = Some(value.bytes());
            Ok(())
        },
    ),
];

/// Exit code when something has no equal.
const LEFT_OUT: u8 = 1;

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    arguments.options(&mut [&mut group(&[OPTIONS], &mut config)])?;
    let Config {
        folder,
        style,
        logs,
    } = config;
    let mut sources: Vec<Source> = Vec::new();
    for path in arguments.program()? {
        let tree = read(&path).map_err(|why| {
            let text = [b"unable to read ", &path[..], b": ", why.as_bytes()];
            Error::fatal(text.concat())
        })?;
        sources.extend(import::sources(&path, tree));
    }
    let import = import::convert(&sources, &mut read).map_err(|fault| {
        let text = format!("unable to parse {}", fault.place);
        Error::permanent(text, format!("expected {}", fault.expected))
    })?;
    match folder {
        Some(folder) => write(&import, style, logs.as_deref(), &folder)?,
        None => {
            let commands = import
                .services
                .iter()
                .map(|service| import::commands(service, style));
            let text = commands.collect::<Vec<_>>().join(&b'\n');
            fd::write_all(fd::STDOUT, &text).map_err(|_| Error::silent(FAILED))?;
        }
    }
    let missing = import.missing();
    for note in &missing {
        voice.warn(&[note.to_string().as_bytes()]);
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::silent(LEFT_OUT))
    }
}

/// The most bytes of one file, and the most files of a folder and all below it.
const FILE_MAX: u64 = 1 << 24;
const FILES_MAX: usize = 100_000;

/// How deep folders are read that hold rules: kind, client, `env`.
const DEPTH_MAX: usize = 3;

/// Reads a file or a folder; why not, in a few words.
fn read(path: &[u8]) -> Result<Tree, &'static str> {
    let path = path_of(path);
    if !path.is_dir() {
        return file(&path);
    }
    let holds_folders = import::SUBFOLDERS
        .iter()
        .any(|name| path.join(name).is_dir());
    let depth = if holds_folders { DEPTH_MAX } else { 0 };
    read_folder(&path, depth, &mut FILES_MAX.clone())
}

/// Reads a folder, and those in it down to `depth`; `room` is how many more files there may be.
fn read_folder(path: &Path, depth: usize, room: &mut usize) -> Result<Tree, &'static str> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(|error| cli::reason(&error))? {
        let entry = entry.map_err(|error| cli::reason(&error))?;
        *room = room.checked_sub(1).ok_or("too many files")?;
        let path = entry.path();
        // What is no file, and what is gone, was not meant.
        let tree = match fs::metadata(&path) {
            // What its owner may not use at all says so by that, and cannot be read.
            Ok(found) if found.is_file() && found.mode() & 0o500 == 0 => Tree::File {
                mode: found.mode(),
                text: Vec::new(),
            },
            Ok(found) if found.is_file() => file(&path)?,
            Ok(found) if found.is_dir() && depth > 0 => read_folder(&path, depth - 1, room)?,
            _ => continue,
        };
        entries.insert(entry.file_name().into_vec(), tree);
    }
    Ok(Tree::Folder(entries))
}

fn file(path: &Path) -> Result<Tree, &'static str> {
    let mut text = Vec::new();
    let read = fs::File::open(path).and_then(|file| {
        let mode = file.metadata()?.mode();
        file.take(FILE_MAX + 1).read_to_end(&mut text)?;
        Ok(mode)
    });
    let mode = read.map_err(|error| cli::reason(&error))?;
    if text.len() as u64 > FILE_MAX {
        return Err("file too big");
    }
    Ok(Tree::File { mode, text })
}

/// Writes a folder for each service into `folder`, each of them whole or not at all.
///
/// # Errors
/// One is there already, or the system says no: 111.
fn write(import: &Import, style: Style, logs: Option<&[u8]>, folder: &[u8]) -> Result<(), Error> {
    let creating = [b"create ", folder].concat();
    let path = path_of(folder);
    fs::create_dir_all(&path).during(&creating)?;
    let path = fs::canonicalize(&path).during(&creating)?;
    let creating = |service: &Service| [b"create ", folder, b"/", service.name.as_bytes()].concat();
    for service in &import.services {
        if path.join(&service.name).symlink_metadata().is_ok() {
            let text = [
                b"unable to ",
                &creating(service)[..],
                b": file already exists",
            ];
            return Err(Error::fatal(text.concat()));
        }
    }
    for service in &import.services {
        // Supervisors pass over names with a dot, so none starts half a service.
        let new = path.join(format!(".{}.new", service.name));
        let whole = write_service(service, style, logs, &path, &new);
        whole
            .and_then(|()| fs::rename(&new, path.join(&service.name)))
            .during(creating(service))?;
    }
    Ok(())
}

fn write_service(
    service: &Service,
    style: Style,
    logs: Option<&[u8]>,
    folder: &Path,
    new: &Path,
) -> io::Result<()> {
    match fs::remove_dir_all(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(new)?,
    }
    for file in import::files(service, style, logs, folder.as_os_str().as_bytes()) {
        let path = new.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.text)?;
        if file.is_program {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
