//! The lines themselves.

use std::io::{self, Write};

use values::{MICROS_PER_SECOND, Timestamp};

use super::random::Random;
use super::{ACCOUNT_CODE, FileKind, SampleStream, SampleView};
use crate::UsageKind;

const CLOUDFRONT_HEADER: &str = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip \
    cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) \
    x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken\n";
const FMS_HEADER: &str = "#Fields: x-event\tx-category\tdate\ttime\tx-duration\tx-status\tc-ip\t\
    s-ip\tc-proto\tcs-uri-stem\tcs-uri-query\tc-referrer\tc-user-agent\tcs-bytes\tsc-bytes\t\
    x-file-size\tx-file-length\tx-sname\tx-file-name\tx-file-ext\tx-app\tsc-stream-bytes\t\
    c-client-id\tx-sid\tx-comment\n";
const WPC_HEADER: &str = "#Fields: timestamp time-taken c-ip filesize s-ip s-port sc-status \
    sc-bytes cs-method cs-uri-stem - rs-duration rs-bytes c-referrer c-user-agent customer-id\n";

const EDGES: [&str; 8] = ["SFO5", "IAD53", "FRA2", "LHR50", "NRT54", "AMS1", "GRU3", "SYD4"];
const RESULTS: [&str; 5] = ["Hit", "Hit", "Hit", "Miss", "RefreshHit"];
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 6.3; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Example/39.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_1) AppleWebKit/600.1.25 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 8_1 like Mac OS X) AppleWebKit/600.1.4 Mobile/12B411",
    "ExamplePlayer/1.0.0.12B440 (iPad; U; CPU OS 8_1_1 like Mac OS X; en_us)",
];
const REFERRERS: [&str; 3] = ["-", "http://player.example/live", "https://shop.example/show/today"];
const EVENTS: [&str; 4] = ["connect", "play", "pause", "disconnect"];
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const REQUEST_ID_CHARS: usize = 54;

/// Who watched whom when.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) stream: &'a SampleStream<'a>,
}

/// What a counted line holds.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) kind: UsageKind,
    pub(super) bytes: u64,
    pub(super) seconds: u64,
}

pub(super) const fn header(kind: FileKind) -> &'static str {
    match kind {
        FileKind::CloudFrontHls | FileKind::CloudFrontVod => CLOUDFRONT_HEADER,
        FileKind::Fms => FMS_HEADER,
        FileKind::Wpc => WPC_HEADER,
    }
}

impl Sample<'_> {
    /// Writes one line; `None` if it is one that is skipped.
    pub(super) fn write(
        &self,
        kind: FileKind,
        random: &mut Random,
        out: &mut impl Write,
    ) -> io::Result<Option<Line>> {
        match kind {
            FileKind::CloudFrontHls => {
                let bytes = 400_000 + random.below(300_000);
                segment(&SampleView { stream: *self.stream, at: self.at, bytes }, random, out)?;
                Ok(Some(Line { kind: UsageKind::Hls, bytes, seconds: 0 }))
            }
            FileKind::CloudFrontVod => {
                let bytes = 1_000 + random.below(4_000_000);
                let SampleStream { name, public_key, instance } = self.stream;
                let day = random.below(28) + 1;
                let path =
                    format_args!("/{instance}/{public_key}/{name}.201411{day:02}T013843.mp4");
                cloudfront(self.at, bytes, path, "vod.cine.example", random, out)?;
                Ok(Some(Line { kind: UsageKind::Vod, bytes, seconds: 0 }))
            }
            FileKind::Fms => self.fms(random, out),
            FileKind::Wpc => self.wpc(random, out),
        }
    }

    fn fms(&self, random: &mut Random, out: &mut impl Write) -> io::Result<Option<Line>> {
        let is_stop = self.number % 2 == 1;
        let event = if is_stop { "stop" } else { random.pick(&EVENTS) };
        let seconds = random.below(1_800);
        let bytes = 3_965 + seconds * 160_000;
        let SampleStream { instance, name, .. } = self.stream;
        let (host, server) = (random.below(254) + 1, random.below(254) + 1);
        let client = random.next() >> 1;
        writeln!(
            out,
            "{event}\tstream\t{at}\t{seconds}\t200\t203.0.113.{host}\t198.51.100.{server}\trtmp\t\
             rtmp://fml.example/{ACCOUNT_CODE}/{instance}/\t-\t{referrer}\tMAC 13,0,0,206\t3207\t\
             {bytes}\t-\t-\t{name}\t-\tflv\t{ACCOUNT_CODE}\t{bytes}\t{client}\t1\t-",
            at = self.at.to_chrono().format("%Y-%m-%d\t%H:%M:%S"),
            referrer = random.pick(&REFERRERS),
        )?;
        let line = Line { kind: UsageKind::Fms, bytes, seconds };
        Ok(is_stop.then_some(line))
    }

    fn wpc(&self, random: &mut Random, out: &mut impl Write) -> io::Result<Option<Line>> {
        let is_noise = self.number % 10 == 9;
        let is_recording = self.number % 10 == 4;
        let bytes =
            if is_noise { 480 + random.below(40) } else { 2_000_000 + random.below(2_000_000) };
        let SampleStream { instance, name, public_key } = self.stream;
        let seconds = self.at.as_micros() / MICROS_PER_SECOND;
        let (host, server, taken) =
            (random.below(254) + 1, random.below(254) + 1, random.below(900));
        write!(
            out,
            "{seconds} {taken} 203.0.113.{host} {size} 198.51.100.{server} 80 TCP_HIT/200 {bytes} \
             GET http://cdn.example/{ACCOUNT_CODE}/",
            size = bytes.saturating_sub(280),
        )?;
        if is_recording {
            write!(out, "{instance}/{public_key}/{name}.3.mp4")?;
        } else {
            write!(out, "{instance}/{name}/part{}.ts", self.number)?;
        }
        let (referrer, browser) = (random.pick(&REFERRERS), random.pick(&BROWSERS));
        writeln!(out, " - 0 0 {referrer} \"{browser}\" 50270")?;
        let kind = if is_recording { UsageKind::Vod } else { UsageKind::Hls };
        Ok((!is_noise).then_some(Line { kind, bytes, seconds: 0 }))
    }
}

/// A line about a live segment.
pub(super) fn segment(
    view: &SampleView<'_>,
    random: &mut Random,
    out: &mut impl Write,
) -> io::Result<()> {
    let millis = view.at.as_micros() / 1_000;
    let path = format_args!("/hls/{}-{millis:013}.ts", view.stream.name);
    cloudfront(view.at, view.bytes, path, "d0example1.cloudfront.net", random, out)
}

fn cloudfront(
    at: Timestamp,
    bytes: u64,
    path: std::fmt::Arguments<'_>,
    host: &str,
    random: &mut Random,
    out: &mut impl Write,
) -> io::Result<()> {
    let browser = random.pick(&BROWSERS);
    write!(
        out,
        "{at}\t{edge}\t{bytes}\t203.0.113.{client}\tGET\t{host}\t{path}\t{status}\t{referrer}\t",
        at = at.to_chrono().format("%Y-%m-%d\t%H:%M:%S"),
        edge = random.pick(&EDGES),
        client = random.below(254) + 1,
        status = random.pick(&["200", "200", "200", "206", "304", "404"]),
        referrer = random.pick(&REFERRERS),
    )?;
    // Spaces are escaped twice in these logs.
    for (number, word) in browser.split(' ').enumerate() {
        write!(out, "{}{word}", if number == 0 { "" } else { "%2520" })?;
    }
    let mut id = [0_u8; REQUEST_ID_CHARS];
    for chars in id.chunks_mut(10) {
        let mut bits = random.next();
        for char in chars {
            *char = BASE64[(bits & 63) as usize];
            bits >>= 6;
        }
    }
    write!(out, "\t-\t-\t{}\t", random.pick(&RESULTS))?;
    out.write_all(&id)?;
    let (received, millis) = (160 + random.below(60), random.below(900));
    writeln!(out, "==\t{host}\thttp\t{received}\t0.{millis:03}")
}
