//! Floods of frames of HTTP/2: each is bounded in count, and so is what it costs the server.

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::task::JoinSet;

use crate::client::{Http2, connect};
use crate::frames::{
    CONTINUATION, DATA, END, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, frame, post, preface,
    read,
};
use crate::webhook::{Webhook, review_of};

/// The frames of a flood, by their number.
type Frames = fn(u32) -> Vec<u8>;

/// How a flood ends.
#[derive(Debug, PartialEq)]
enum End {
    /// The server ended the connection, with this error code where it told one.
    Ended(Option<u32>),
    /// All was written, and a PING after it was answered.
    Survived,
}

/// Writes `count` times what `bytes` makes of the number, while what comes back is read.
async fn flood(webhook: &Webhook, settings: &[u8], count: u32, bytes: impl Fn(u32) -> Vec<u8>) -> End {
    const LAST: [u8; 8] = *b"the last";
    let (mut reader, mut writer) = split(connect(webhook, "h2").await.unwrap());
    let write = async {
        if writer.write_all(&preface(settings)).await.is_err() {
            return;
        }
        for number in 0..count {
            if writer.write_all(&bytes(number)).await.is_err() {
                return;
            }
        }
        let _ = writer.write_all(&frame(PING, 0, 0, &LAST)).await;
    };
    let reading = async {
        let mut code = None;
        while let Ok((kind, _, payload)) = read(&mut reader).await {
            match (kind, payload.as_slice()) {
                (PING, payload) if payload == LAST => return End::Survived,
                (GOAWAY, [_, _, _, _, c3, c2, c1, c0, ..]) => code = Some(u32::from_be_bytes([*c3, *c2, *c1, *c0])),
                _ => {}
            }
        }
        End::Ended(code)
    };
    tokio::join!(write, reading).1
}

/// Number `number` of the streams that a client opens.
fn stream(number: u32) -> u32 {
    number * 2 + 1
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_a_storm_of_resets() {
    let webhook = Webhook::new(&[]).await;
    let opened_and_reset = |number| {
        let reset = frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
        [frame(HEADERS, WHOLE, stream(number), &post()), reset].concat()
    };
    let attack = async {
        for _ in 0..20 {
            let end = flood(&webhook, &[], 10_000, opened_and_reset).await;
            assert!(matches!(end, End::Ended(None | Some(ENHANCE_YOUR_CALM))), "{end:?}");
        }
    };
    webhook.survives("resets (CVE-2023-44487)", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_headers_that_never_end() {
    let webhook = Webhook::new(&[]).await;
    // Fields that are valid, not indexed, and too many.
    let field = [b"\x00\x01x\x7f\x81\x1f".as_slice(), &[b'y'; 4096]].concat();
    let attack = async {
        let end = flood(&webhook, &[], 100_000, |number| match number {
            0 => frame(HEADERS, 0, 1, &post()),
            _ => frame(CONTINUATION, 0, 1, &field),
        })
        .await;
        assert!(matches!(end, End::Ended(_)), "{end:?}");
        // Without a byte in them.
        let end = flood(&webhook, &[], 100_000, |number| match number {
            0 => frame(HEADERS, 0, 1, &post()),
            _ => frame(CONTINUATION, 0, 1, &[]),
        })
        .await;
        assert!(matches!(end, End::Ended(_)), "{end:?}");
    };
    webhook.survives("CONTINUATION", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bears_settings_and_pings() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let floods: [(&str, Frames); 3] = [
            ("PING", |number| frame(PING, 0, 0, &u64::from(number).to_be_bytes())),
            ("SETTINGS", |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
            ("empty DATA", |number| match number {
                0 => frame(HEADERS, WHOLE, 1, &post()),
                _ => frame(DATA, 0, 1, &[]),
            }),
        ];
        for (name, bytes) in floods {
            // One that takes long ends since no request came in time.
            let end = flood(&webhook, &[], 20_000, bytes).await;
            assert!(matches!(end, End::Survived | End::Ended(None | Some(ENHANCE_YOUR_CALM))), "{name}: {end:?}");
        }
    };
    webhook.survives("SETTINGS, PING and empty DATA", attack).await;
}

#[tokio::test]
async fn ends_connections_that_break_the_protocol() {
    let webhook = Webhook::new(&[]).await;
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let table: [(&str, Vec<u8>); 7] = [
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &most)),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("headers on no stream", frame(HEADERS, WHOLE, 0, &post())),
        ("headers on a stream of the server's", frame(HEADERS, WHOLE, 2, &post())),
        ("data on a stream that is not open", frame(DATA, 0, 1, b"x")),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; 20_000])),
        ("a PING that is too short", frame(PING, 0, 0, &[0; 7])),
    ];
    let attack = async {
        for (name, bytes) in table {
            let end = flood(&webhook, &[], 2, |_| bytes.clone()).await;
            assert!(matches!(end, End::Ended(Some(1..))), "{name}: {end:?}");
        }
        let mut stream = connect(&webhook, "h2").await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert!(!said.starts_with(b"HTTP/1.1"), "{said:?}");
    };
    webhook.survives("broken protocol", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_for_128_streams_of_a_connection_at_once() {
    let webhook = Webhook::new(&["--request-timeout=2s"]).await;
    let attack = async {
        let end = flood(&webhook, &[], 10_000, |number| frame(HEADERS, WHOLE, stream(number), &post())).await;
        // Of those above 128 each is refused (RFC 9113, section 5.1.2); after too many the connection is.
        assert!(matches!(end, End::Survived | End::Ended(_)), "{end:?}");
        // 10,000 that are all within the bound.
        let mut connections = JoinSet::new();
        for _ in 0..100 {
            let mut client = connect(&webhook, "h2").await.unwrap();
            let bytes = (0..100).map(|number| frame(HEADERS, WHOLE, stream(number), &post()));
            let bytes = [preface(&[]), bytes.collect::<Vec<_>>().concat()].concat();
            connections.spawn(async move {
                client.write_all(&bytes).await.unwrap();
                let mut answered = 0;
                while answered < 100 {
                    let Ok((kind, ..)) = read(&mut client).await else { break };
                    answered += usize::from(kind == HEADERS);
                }
                answered
            });
        }
        let answered: usize = connections.join_all().await.into_iter().sum();
        assert_eq!(answered, 10_000, "each is told that its body did not come");
    };
    webhook.survives("10,000 streams", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_few_answers_that_are_not_taken() {
    let webhook = Webhook::new(&[]).await;
    // 2 KB that are answered with 900 KB.
    let items: Vec<String> = (0..64).map(|item| format!("secret:k:/var/secrets/{item}")).collect();
    let annotations = format!(r#"{{"secrets.apolo.us/volume":"{}"}}"#, items.join(","));
    let containers = vec!["{}"; 120].join(",");
    let object = format!(r#"{{"metadata":{{"annotations":{annotations}}},"spec":{{"containers":[{containers}]}}}}"#);
    let review = review_of("7", &object);
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let begin = preface(&[0, 4, 0, 0, 0, 0]);
    let attack = async {
        let (status, answer) = Http2::new(&webhook).await.post("/pods/mutate", review.clone()).await;
        assert!(status == 200 && answer.len() > 800_000, "{status}: {} bytes", answer.len());
        let mut strangers = JoinSet::new();
        for _ in 0..8 {
            let (mut reader, mut writer) = split(connect(&webhook, "h2").await.unwrap());
            let ask = |number| {
                let body = frame(DATA, END, stream(number), review.as_bytes());
                [frame(HEADERS, WHOLE, stream(number), &post()), body].concat()
            };
            let bytes = [begin.clone(), (0..20).flat_map(ask).collect()].concat();
            strangers.spawn(async move {
                let _ = writer.write_all(&bytes).await;
                let mut answered = 0;
                while answered < 20 {
                    let Ok((kind, ..)) = read(&mut reader).await else { break };
                    answered += usize::from(kind == HEADERS);
                }
                // Kept open until all have been answered or cut.
                (answered, reader, writer)
            });
        }
        let answered: usize = strangers.join_all().await.iter().map(|(answered, ..)| answered).sum();
        assert!(answered > 0);
    };
    webhook.survives("answers that are not taken", attack).await;
}
