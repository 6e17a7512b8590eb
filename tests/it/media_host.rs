//! A media host hands its recordings over: an RTMP server, a form, the command line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use objects::{Credentials, ObjectStore};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{PostgresServer, Profile, RtmpServer, S3Server};
use values::Secret;

use crate::cli_shell::Shell;
use crate::site::PATIENCE;

const TOKEN: &str = "canary-media-host-token";
const DOMAIN: &[&str] = &[
    r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingProvider":"cine.io"}"#,
    r#"{"kind":"project","id":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Web","publicKey":"18b191b6"}"#,
    r#"{"kind":"stream","id":"strm_01jd0c4x5ve4zrh1k5yq4q8g7m","projectId":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"cam","record":true}"#,
];

/// A media host: a folder of recordings, and a worker beside it.
struct MediaHost {
    shell: Shell,
    worker: Child,
    address: String,
}

impl MediaHost {
    /// A media host with these further lines in worker.toml; `FOLDER` stands for its recordings.
    fn new(more: &str) -> Self {
        Self::at(None, more)
    }

    /// A media host with its tasks in a database of a server.
    fn at(url: Option<&str>, more: &str) -> Self {
        let mut shell = Shell::new();
        let recordings = shell.path("recordings").display().to_string();
        let text = format!(
            "{}\n[domains.archival]\nstore = 'store'\nfolders = ['{recordings}']\n{}\n",
            main_worker::app::BUILT_IN_MANIFEST,
            more.replace("FOLDER", &recordings)
        );
        shell.write("worker.toml", text.as_bytes());
        shell.set("MAIN_WORKER_MEDIA_HOST_TOKEN", TOKEN);
        // Fault 27: the hour of the host counts nowhere.
        shell.set("TZ", "Pacific/Kiritimati");
        if let Some(url) = url {
            shell.set("DATABASE_URL", url);
            shell.ok(&["keys", "init", "--force"]);
            shell.ok(&["migrate"]);
        }
        shell.ok(&["keys", "make", "--source", "media_host"]);
        shell.set("PATH", "/usr/local/bin:/usr/bin:/bin");
        for name in ["store", "recordings"] {
            std::fs::create_dir(shell.path(name)).unwrap();
        }
        shell.write("all.jsonl", DOMAIN.join("\n").as_bytes());
        shell.ok(&["import", "all.jsonl"]);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = port.to_string();
        let log = std::fs::File::create(shell.path("log")).unwrap();
        let mut command = shell.command(&["work", "--listen", &address]);
        let worker = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let host = Self { shell, worker, address };
        host.until("the worker listens", || TcpStream::connect(&host.address).is_ok());
        host
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not so: {what}\n{}", self.shell.read("log"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Posts a form to the worker; returns the status.
    fn post(&self, path: &str, form: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The stored files of the one project, sorted.
    fn stored(&self) -> Vec<String> {
        let folder = self.shell.path("store/cines/18b191b6");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn recordings(&self) -> usize {
        std::fs::read_dir(self.shell.path("recordings")).unwrap().count()
    }
}

impl Drop for MediaHost {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.worker);
        kill_process(pid, Signal::TERM).ok();
        self.worker.wait().ok();
    }
}

/// Publishes, or writes, two seconds of a live stream.
fn stream_to(target: &str) {
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi"])
        .args(["-i", "testsrc2=size=320x180:rate=15:duration=2", "-f", "lavfi"])
        .args(["-i", "sine=duration=2", "-c:v", "libx264", "-preset", "ultrafast", "-g", "15"])
        // Equal files would be one recording.
        .args(["-metadata", &format!("title={target}")])
        .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", target])
        .status()
        .expect("ffmpeg is not installed: run ci/services ffmpeg");
    assert!(done.success());
}

#[tokio::test]
async fn what_is_published_to_an_rtmp_server_is_archived() {
    let host = MediaHost::new("");
    let hook = format!("http://{}/hooks/record-done?token={TOKEN}", host.address);
    let rtmp = RtmpServer::start(&host.shell.path("recordings"), &hook).await.unwrap();
    stream_to(&rtmp.url("cam"));
    host.until("picture and MP4 are stored", || host.stored().len() == 2);
    host.until("the recorder's file is removed", || host.recordings() == 0);
    let names = host.stored();
    assert!(names[0].starts_with("cam.2") && names[1].ends_with("mp4"), "{names:?}");
    let log = host.shell.read("log");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn the_door_needs_its_token_and_the_command_line_does_the_same() {
    let host = MediaHost::new("");
    let path = host.shell.path("recordings/cam.1.flv");
    stream_to(path.to_str().unwrap());
    let form = format!("name=cam&path={}", path.display());
    for door in ["/hooks/record-done", "/hooks/record-done?token=canary"] {
        assert_eq!(host.post(door, &form), 401);
    }
    let door = format!("/hooks/record-done?token={TOKEN}");
    assert_eq!(host.post(&door, "name=cam"), 400);
    assert_eq!(host.post(&door, "name=cam&path=cam.flv"), 400);
    assert_eq!(host.post(&door, &"x".repeat(20_000)), 413);
    assert!(host.stored().is_empty() && path.exists());
    assert_eq!(host.post(&door, &form), 200);
    host.until("the file is archived", || host.stored().len() == 2 && host.recordings() == 0);

    // Another host's file waits for that host.
    let path = host.shell.path("recordings/cam.2.flv");
    stream_to(path.to_str().unwrap());
    let payload = |host: &str| json!({ "file": path.to_str().unwrap(), "host": host }).to_string();
    let job = "archival/archive_recording";
    host.shell.ok(&["enqueue", job, &payload("another-host")]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(host.stored().len(), 2);
    let this = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    host.shell.ok(&["enqueue", job, &payload(this.trim())]);
    host.until("the file is archived", || host.stored().len() == 4);
}

/// A file of the same path on this host is another recording.
#[test]
fn a_run_by_hand_touches_no_file_of_another_host() {
    let shell = shell_with("store = 'FOLDER/store'\nfolders = ['FOLDER/recordings']\n");
    for name in ["store", "recordings"] {
        std::fs::create_dir(shell.path(name)).unwrap();
    }
    shell.write("all.jsonl", DOMAIN.join("\n").as_bytes());
    shell.ok(&["import", "all.jsonl"]);
    let path = shell.path("recordings/cam.1.flv");
    stream_to(path.to_str().unwrap());
    let run = |host: &str| {
        let payload = json!({ "file": path.to_str().unwrap(), "host": host });
        let envelope = json!({
            "configuration": {}, "jobName": "archival/archive_recording", "source": "operator",
            "jobPayload": payload
        });
        shell.pipe(&["run"], envelope.to_string().as_bytes())
    };
    let refused = run("another-host");
    assert_eq!(refused.code, 65, "{refused:?}");
    assert_eq!(refused.json()["outcome"], "rejected");
    assert!(refused.json()["error"].as_str().unwrap().contains("for the host `another-host`"));
    assert!(path.exists() && !shell.path("store/cines").exists());
    let this = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let done = run(this.trim());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!path.exists() && shell.path("store/cines/18b191b6/cam.1.mp4").exists());

    // It is listed with the id that it is deleted by, and its customer can be told.
    let id = done.json()["result"]["recordingId"].clone();
    let listed = shell.json(&["recordings", "list", "--project", "18b191b6"]);
    assert_eq!(listed[0]["recordingId"], id, "{listed}");
    assert_eq!(listed[0]["key"], "cines/18b191b6/cam.1.mp4");
    assert!(shell.ok(&["recordings", "list"]).contains(id.as_str().unwrap()));
    assert_eq!(shell.json(&["recordings", "list", "--before", id.as_str().unwrap()]), json!([]));
    shell.run(&["recordings", "list", "--project", "other"]).fails(64, &["no project `other`"]);
    let webhook = ["recordings", "webhook", "18b191b6"];
    assert_eq!(shell.json(&webhook)["url"], json!(null));
    let url = ["--url", "https://customer.example/hook"];
    let set = shell.json(&[&webhook[..], &url].concat());
    assert_eq!(set["url"], "https://customer.example/hook");
    assert_eq!(set["secret"].as_str().unwrap().len(), 64);
    let shown = shell.ok(&webhook);
    assert!(shown.contains("https://customer.example/hook"), "{shown}");
    assert!(!shown.contains(set["secret"].as_str().unwrap()), "{shown}");
    let own = shell.pipe(&[&webhook[..], &url, &["--secret-file", "-"]].concat(), b"short");
    own.fails(64, &["a secret has 16 to 2000 bytes"]);
    shell.run(&[&webhook[..], &["--url", "ftp://x"]].concat()).fails(64, &["is no address"]);
    assert_eq!(shell.json(&[&webhook[..], &["--remove"]].concat())["url"], json!(null));
}

#[test]
fn a_file_in_a_watched_folder_is_archived_once_it_is_complete() {
    let host = MediaHost::new("[watch]\nfolders = ['FOLDER']\nstable_for = \"5s\"\n");
    let hidden = host.shell.path("recordings/.cam.0.flv");
    std::fs::write(&hidden, "not yet").unwrap();
    let path = host.shell.path("recordings/cam.1.flv");
    // Written to for longer than it takes to be called complete.
    let body = {
        let whole = host.shell.path("whole.flv");
        stream_to(whole.to_str().unwrap());
        std::fs::read(whole).unwrap()
    };
    let mut file = std::fs::File::create(&path).unwrap();
    for piece in body.chunks(body.len().div_ceil(14)) {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(path.exists() && host.stored().is_empty());
    }
    drop(file);
    host.until("the file is archived", || host.stored().len() == 2 && host.recordings() == 1);
    assert!(hidden.exists());
    let stored = std::fs::metadata(host.shell.path("store/cines/18b191b6/cam.1.mp4")).unwrap();
    assert!(stored.len() > body.len() as u64 / 2, "{} of {}", stored.len(), body.len());
    let tasks = host.shell.json(&["tasks", "list", "--job", "archival/archive_recording"]);
    assert_eq!(tasks.as_array().unwrap().len(), 1, "{tasks}");
}

/// Fault 25: it is answered that all is well when the task is stored, and not before.
#[tokio::test]
async fn the_door_says_no_while_the_database_is_away() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let host = MediaHost::at(Some(&url), "");
    let path = host.shell.path("recordings/cam.1.flv");
    stream_to(path.to_str().unwrap());
    let form = format!("name=cam&path={}", path.display());
    let door = format!("/hooks/record-done?token={TOKEN}");
    server.kill();
    assert_eq!(host.post(&door, &form), 503);
    assert!(path.exists());
    server.start_again().await.unwrap();
    host.until("the door takes it", || host.post(&door, &form) == 200);
    host.until("the file is archived", || host.stored().len() == 2 && host.recordings() == 0);
}

/// Fault 27: no zone of the machine changes when things are due.
#[test]
fn times_are_the_same_wherever_the_worker_stands() {
    let ask = |zone: &str| {
        let mut shell = Shell::with_manifest("");
        shell.set("TZ", zone);
        shell.ok(&["schedules", "next", "--count", "30", "--from", "2026-12-31T23:30:00Z"])
    };
    let expected = ask("UTC");
    assert!(expected.contains("2027-01-01T"), "{expected}");
    for zone in ["Pacific/Kiritimati", "America/St_Johns", "Europe/Berlin"] {
        assert_eq!(ask(zone), expected, "{zone}");
    }
}

/// A shell with these lines for `[domains.archival]`; `FOLDER` stands for its own folder.
fn shell_with(lines: &str) -> Shell {
    let mut shell = Shell::new();
    let folder = shell.folder.path().display().to_string();
    let text = format!(
        "{}\n[domains.archival]\n{}\n",
        main_worker::app::BUILT_IN_MANIFEST,
        lines.replace("FOLDER", &folder)
    );
    shell.write("worker.toml", text.as_bytes());
    shell.set("PATH", "/usr/local/bin:/usr/bin:/bin");
    shell
}

#[tokio::test]
async fn a_check_looks_at_programs_folders_and_the_object_store() {
    let server = S3Server::start().await.unwrap();
    let location = format!("s3://recordings/all?endpoint={}", server.endpoint());
    let mut shell = shell_with(&format!(
        "store = '{location}'\nincoming = 'FOLDER/incoming'\nfolders = ['FOLDER/recordings']\n\
         work_folder = 'FOLDER/work'\nquarantine_folder = 'FOLDER/a/quarantine'\n"
    ));
    for name in ["recordings", "incoming", "work"] {
        std::fs::create_dir(shell.path(name)).unwrap();
    }
    let keys = json!({
        "accessKeyId": server.access_key_id(), "secretAccessKey": server.secret_access_key()
    });
    shell.set("MAIN_WORKER_SECTION_objectStorage", &keys.to_string());
    let refused = shell.run(&["check"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    let missing = "FAILED  recording store        s3://recordings/all does not exist; create it";
    assert!(refused.stdout.contains(missing), "{refused:?}");
    server.create_bucket("recordings").await.unwrap();
    let checked = shell.ok(&["check"]);
    for line in [
        "ok      ffmpeg                 version ",
        "ok      ffprobe                version ",
        "ok      recordings folder      ",
        "ok      archival work folder   ",
        "/a/quarantine is made when it is needed",
        "ok      recording store        s3://recordings/all takes objects and deletes them",
        "/incoming: 0 files",
    ] {
        assert!(checked.contains(line), "no {line:?} in\n{checked}");
    }
    // Nothing of the check is left anywhere.
    let credentials = Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    };
    let store = ObjectStore::open(&location.parse().unwrap(), Some(&credentials)).await.unwrap();
    assert_eq!(store.list_page(None).await.unwrap().objects, []);
    for name in ["recordings", "incoming", "work", "home"] {
        let left = std::fs::read_dir(shell.path(name)).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.filter(|name| name.starts_with('.')).count(), 0, "{name}");
    }
    shell.set("MAIN_WORKER_SECTION_objectStorage", &json!({ "accessKeyId": "other" }).to_string());
    let refused = shell.run(&["check"]);
    assert!(refused.stdout.contains("FAILED  configuration"), "{refused:?}");
}

#[test]
fn a_check_says_what_to_change_for_archival() {
    let shell = shell_with(
        "store = 'FOLDER/nowhere'\nfolders = ['FOLDER/gone', '/proc/self']\n\
         ffmpeg = '/no/such/ffmpeg'\nffprobe = '/bin/echo'\nquarantine_folder = '/proc/self/q'\n",
    );
    let checked = shell.run(&["check"]);
    assert_eq!(checked.code, 78, "{checked:?}");
    for words in [
        "FAILED  ffmpeg                 `/no/such/ffmpeg` cannot be started; install it",
        "[domains.archival] ffmpeg = ",
        "FAILED  ffprobe                `/bin/echo` is not ffprobe: it says \"-version\"",
        "/gone; make it, or correct [domains.archival] folders",
        "FAILED  recordings folder      /proc/self cannot be written (",
        "FAILED  archival quarantine    /proc/self/q cannot be made in /proc/self (",
        "FAILED  recording store        ",
        "/nowhere does not exist; create it or correct the location",
    ] {
        assert!(checked.stdout.contains(words), "no {words:?} in\n{}", checked.stdout);
    }
    let nowhere_to_work = shell_with("store = 'FOLDER'\nincoming = 'FOLDER/incoming'\n");
    for command in ["check", "work"] {
        let refused = nowhere_to_work.run(&[command]);
        assert_eq!(refused.code, 78, "{refused:?}");
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert!(told.contains("`incoming` needs a `work_folder`"), "{told}");
    }
    let unused = shell_with("");
    assert!(!unused.ok(&["check"]).contains("ffmpeg"), "nothing is archived here");
}
