//! Load for a gateway under test, and what stands behind it: Python can't keep up with Envoy. Only the
//! standard library, so that `rustc` alone builds it; `lab/load.py` does.
//!
//! ```text
//! load send    port=P requests=FILE [first=N] [count=N] [seconds=S] [rate=R] [connections=C] [abort=0.1] [prefix=X]
//!              [stop=FILE]
//! load serve   port=P
//! load collect port=P [file=FILE] [delay_ms=D]
//! ```
//!
//! `send` sends the requests of the file over and over, each under an `x-request-id` of its own, and prints
//! what became of them as JSON. A line of the file: method, target, token, body and kind with tabs between them;
//! `first` is the line to begin with. Without a token no `Authorization` is sent; what became of each kind is told
//! by itself. Once there is a file `stop`, no more are sent.
//! `abort` is the share of requests that are sent whole and whose answer is not read, or not to its end.
//! Without `rate` each connection sends as soon as it was answered.
//!
//! `serve` answers every request with a small FHIR resource; those with `slow` in their target in two parts.
//! One whose id is such as `ann-20000-bytes` is about that patient and so large, that with an id such as `ann-1`
//! about `Patient/ann`; a search for `code=mixed` finds something of ann's and something of ben's.
//!
//! `collect` appends the body of every request to a file, or only counts its lines, then answers 200. What a
//! killed one left of a line that was not whole is cut off when it starts again. A GET is answered with the
//! number of lines that came.

mod answers;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let options: HashMap<String, String> = arguments
        .filter_map(|one| one.split_once('=').map(|(name, value)| (name.into(), value.into())))
        .collect();
    match &*mode {
        "send" => send(&Plan::of(&options)?),
        "serve" => serve(number(&options, "port")?),
        "collect" => collect(&options),
        _ => Err(io::Error::other("the first argument is `send`, `serve` or `collect`")),
    }
}

/// What is sent, and how fast.
struct Plan {
    port: u16,
    requests: Vec<Vec<String>>,
    first: u64,
    count: u64,
    seconds: f64,
    rate: f64,
    connections: u64,
    abort: f64,
    prefix: String,
    stop: Option<PathBuf>,
}

impl Plan {
    fn of(options: &HashMap<String, String>) -> io::Result<Plan> {
        let text = fs::read_to_string(text(options, "requests")?)?;
        let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(Plan {
            port: number(options, "port")?,
            requests: text.lines().map(fields).collect(),
            first: number_or(options, "first", 0)?,
            count: number_or(options, "count", u64::MAX)?,
            seconds: number_or(options, "seconds", f64::MAX)?.min(1e9),
            rate: number_or(options, "rate", f64::INFINITY)?,
            connections: number_or(options, "connections", 64)?,
            abort: number_or(options, "abort", 0.0)?,
            prefix: options.get("prefix").cloned().unwrap_or_else(|| "load".into()),
            stop: options.get("stop").map(PathBuf::from),
        })
    }

    /// The request of this number as it is sent.
    fn request(&self, place: u64) -> Vec<u8> {
        let field = |index| self.field(place, index);
        let (method, target, token, body) = (field(0), field(1), field(2), field(3));
        let mut text = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nx-request-id: {}-{place}\r\n",
            self.prefix
        );
        if !token.is_empty() {
            text += &format!("authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let length = body.len();
            text += &format!("content-type: application/fhir+json\r\ncontent-length: {length}\r\n");
        }
        (text + "\r\n" + body).into_bytes()
    }

    /// A field of the line of the request of this number.
    fn field(&self, place: u64, index: usize) -> &str {
        let line = &self.requests[((self.first + place) % self.requests.len() as u64) as usize];
        line.get(index).map_or("", String::as_str)
    }

    /// When the request of this number is due, from the start.
    fn due(&self, place: u64) -> Duration {
        if self.rate.is_finite() {
            Duration::from_secs_f64(place as f64 / self.rate)
        } else {
            Duration::ZERO
        }
    }

    /// What is done after the request of this number was sent. Drawn, and the same in every run.
    fn end(&self, place: u64) -> End {
        let drawn = mixed(place);
        if (drawn % 10_000) as f64 >= self.abort * 10_000.0 {
            return End::Answer;
        }
        match drawn / 10_000 % 4 {
            0 => End::Leave(Duration::ZERO),
            1 | 2 => End::Leave(Duration::from_micros(drawn / 40_000 % 2_000)),
            _ => End::ReadSome,
        }
    }
}

/// What a client does after it sent a request.
enum End {
    Answer,
    /// Hang up after this time, without a look at the answer.
    Leave(Duration),
    /// Hang up after the first bytes of the answer.
    ReadSome,
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    sent: u64,
    answered: BTreeMap<u16, u64>,
    /// By kind, status and, of a refusal, reason.
    kinds: BTreeMap<String, u64>,
    left: u64,
    read_some: u64,
    /// Connections that ended before the answer did.
    failed: u64,
    /// How long each exchange took.
    took: Vec<Duration>,
}

fn send(plan: &Plan) -> io::Result<()> {
    let start = Instant::now();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.connections)
            .map(|first| scope.spawn(move || client(plan, first, start)))
            .collect();
        threads.into_iter().map(|one| one.join().unwrap_or_default()).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let mut answered: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, count) in tallies.iter().flat_map(|tally| &tally.answered) {
        *answered.entry(*status).or_default() += count;
    }
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in tallies.iter().flat_map(|tally| &tally.kinds) {
        *kinds.entry(kind).or_default() += count;
    }
    let mut took: Vec<Duration> = tallies.iter().flat_map(|tally| &tally.took).copied().collect();
    took.sort_unstable();
    let percentile = |percent: usize| {
        let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or_default()
    };
    println!(
        "{{\"sent\":{},\"answered\":{{{}}},\"kinds\":{{{}}},\"left\":{},\"read_some\":{},\"failed\":{},\
         \"seconds\":{seconds:.3},\"p50_us\":{},\"p99_us\":{},\"slowest_ms\":{}}}",
        sum(|tally| tally.sent),
        counts(&answered),
        counts(&kinds),
        sum(|tally| tally.left),
        sum(|tally| tally.read_some),
        sum(|tally| tally.failed),
        percentile(50).as_micros(),
        percentile(99).as_micros(),
        percentile(100).as_millis()
    );
    Ok(())
}

/// Members of a JSON object.
fn counts<N: std::fmt::Display>(counts: &BTreeMap<N, u64>) -> String {
    let members: Vec<_> =
        counts.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
    members.join(",")
}

/// One connection at a time, which sends every so manieth request.
fn client(plan: &Plan, first: u64, start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    let places = (first..plan.count).step_by(plan.connections as usize);
    for place in places {
        let due = plan.due(place);
        if due.as_secs_f64() >= plan.seconds || start.elapsed().as_secs_f64() >= plan.seconds {
            break;
        }
        if plan.stop.as_ref().is_some_and(|stop| stop.exists()) {
            break;
        }
        thread::sleep(due.saturating_sub(start.elapsed()));
        let began = Instant::now();
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => connect(plan.port),
        };
        match open.and_then(|open| exchange(open, plan, place, &mut tally)) {
            Ok(kept) => connection = kept,
            Err(_) => tally.failed += 1,
        }
        tally.took.push(began.elapsed());
    }
    tally
}

/// Sends a request and ends it; the connection, when it can be used again.
fn exchange(
    mut connection: BufReader<TcpStream>,
    plan: &Plan,
    place: u64,
    tally: &mut Tally,
) -> io::Result<Option<BufReader<TcpStream>>> {
    connection.get_mut().write_all(&plan.request(place))?;
    tally.sent += 1;
    match plan.end(place) {
        End::Leave(after) => {
            thread::sleep(after);
            tally.left += 1;
            Ok(None)
        }
        End::ReadSome => {
            connection.get_mut().read_exact(&mut [0; 40])?;
            tally.read_some += 1;
            Ok(None)
        }
        End::Answer => {
            let Some(answer) = Message::read(&mut connection)? else {
                return Err(ErrorKind::UnexpectedEof.into());
            };
            *tally.answered.entry(answer.status()).or_default() += 1;
            let kind = plan.field(place, 4);
            if !kind.is_empty() {
                let became = format!("{kind} {}{}", answer.status(), answer.reason());
                *tally.kinds.entry(became).or_default() += 1;
            }
            let closes = answer.has("connection", "close");
            Ok((!closes).then_some(connection))
        }
    }
}

fn connect(port: u16) -> io::Result<BufReader<TcpStream>> {
    let connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(BufReader::new(connection))
}

fn serve(port: u16) -> io::Result<()> {
    listen(port, |connection| {
        while let Some(request) = Message::read(connection)? {
            let (head, body) = answers::answer(&request.start);
            if request.start.contains("slow") {
                let (first, rest) = body.split_at(body.len() / 2);
                connection.get_mut().write_all(format!("{head}{first}").as_bytes())?;
                thread::sleep(Duration::from_millis(3));
                connection.get_mut().write_all(rest.as_bytes())?;
            } else {
                connection.get_mut().write_all(format!("{head}{body}").as_bytes())?;
            }
        }
        Ok(())
    })
}

fn collect(options: &HashMap<String, String>) -> io::Result<()> {
    let delay = Duration::from_millis(number_or(options, "delay_ms", 0)?);
    let file = options.get("file").map(|path| whole_lines(path)).transpose()?;
    let taken = Arc::new(Mutex::new((file, 0)));
    listen(number(options, "port")?, move |connection| {
        while let Some(request) = Message::read(connection)? {
            let mut lines = String::new();
            if let Ok(mut taken) = taken.lock() {
                if let Some(file) = &mut taken.0 {
                    file.write_all(&request.body)?;
                }
                taken.1 += request.body.iter().filter(|byte| **byte == b'\n').count();
                if request.start.starts_with("GET ") {
                    lines = taken.1.to_string();
                }
            }
            thread::sleep(delay);
            let length = lines.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{lines}");
            connection.get_mut().write_all(answer.as_bytes())?;
        }
        Ok(())
    })
}

/// The file, to be appended to, without a last line that is not whole.
fn whole_lines(path: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    file.set_len(whole as u64)?;
    Ok(file)
}

/// Serves each connection in a thread of its own.
fn listen<S>(port: u16, serve: S) -> io::Result<()>
where
    S: Fn(&mut BufReader<TcpStream>) -> io::Result<()> + Clone + Send + 'static,
{
    for connection in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let (connection, serve) = (connection?, serve.clone());
        thread::spawn(move || {
            let _ = connection.set_nodelay(true);
            // A peer that hangs up is what tests are for.
            let _ = serve(&mut BufReader::new(connection));
        });
    }
    Ok(())
}

/// A request or an answer.
struct Message {
    start: String,
    /// Lower-case names.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    /// The next one; `None` when the peer hung up before it.
    fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
        let start = line(from)?;
        if start.is_empty() {
            return Ok(None);
        }
        let mut message = Message { start, fields: Vec::new(), body: Vec::new() };
        loop {
            let field = line(from)?;
            let Some((name, value)) = field.split_once(':') else { break };
            message.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if message.has("transfer-encoding", "chunked") {
            loop {
                let size = usize::from_str_radix(&line(from)?, 16).map_err(io::Error::other)?;
                message.take(from, size)?;
                line(from)?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some((_, length)) =
            message.fields.iter().find(|(name, _)| name == "content-length")
        {
            let length = length.parse().map_err(io::Error::other)?;
            message.take(from, length)?;
        }
        Ok(Some(message))
    }

    fn take(&mut self, from: &mut BufReader<TcpStream>, size: usize) -> io::Result<()> {
        let before = self.body.len();
        self.body.resize(before + size, 0);
        from.read_exact(&mut self.body[before..])
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.fields.iter().any(|(known, told)| known == name && told.eq_ignore_ascii_case(value))
    }

    /// A space and the reason code of an OperationOutcome; empty where there is none.
    fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let coding = text.split_once("\"coding\":[");
        let code = coding.and_then(|(_, rest)| rest.split_once("\"code\":\"")?.1.split_once('"'));
        match code {
            Some((code, _)) if self.status() >= 400 => format!(" {code}"),
            _ => String::new(),
        }
    }

    fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

/// A line without its end; empty when the peer hung up.
fn line(from: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// SplitMix64: what looks drawn, by a number.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn text<'a>(options: &'a HashMap<String, String>, name: &str) -> io::Result<&'a str> {
    let missing = || io::Error::other(format!("`{name}=` is missing"));
    options.get(name).map(String::as_str).ok_or_else(missing)
}

fn number<N: std::str::FromStr>(options: &HashMap<String, String>, name: &str) -> io::Result<N> {
    let text = text(options, name)?;
    text.parse().map_err(|_| io::Error::other(format!("`{name}={text}` is no number")))
}

fn number_or<N>(options: &HashMap<String, String>, name: &str, default: N) -> io::Result<N>
where
    N: std::str::FromStr,
{
    if options.contains_key(name) { number(options, name) } else { Ok(default) }
}
